//! Assembles device rules into a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`.
//!
//! On cgroup v2 there is no devices controller: the kernel asks a program that is attached to the cgroup (`bpf(2)`, and
//! `BPF_PROG_TYPE_CGROUP_DEVICE` in the kernel's documentation). It gets the kind of the device, its numbers and the kinds of
//! access that are asked for, and answers 1 or 0.
//!
//! Meaning of a list of rules: each kind of access is decided by the last rule that matches the device and names that access; what no
//! rule decides is denied. The program walks the rules from the last to the first and keeps the undecided accesses in a register,
//! so an `open` for reading and writing is decided bit by bit.

use crate::devices::{Access, DeviceKind, DeviceRule, Verdict};

/// `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

// Operation codes, named as in the kernel's instruction set document.
const LDX_MEM_W: u8 = 0x61;
const ALU32_AND_K: u8 = 0x54;
const ALU32_RSH_K: u8 = 0x74;
const ALU32_MOV_K: u8 = 0xb4;
const ALU64_MOV_X: u8 = 0xbf;
const JMP_JNE_K: u8 = 0x55;
const JMP_JSET_K: u8 = 0x45;
const JMP_JA: u8 = 0x05;
const EXIT: u8 = 0x95;

// Registers: 0 holds the answer, 1 is the context at entry.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const UNDECIDED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

// Offsets in `struct bpf_cgroup_dev_ctx`; the first field holds the access in its upper half and the kind in its lower.
const OFFSET_ACCESS_TYPE: i16 = 0;
const OFFSET_MAJOR: i16 = 4;
const OFFSET_MINOR: i16 = 8;

/// The program for `rules`.
pub(crate) fn assemble(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut program = vec![
        op(LDX_MEM_W, KIND, CONTEXT, OFFSET_ACCESS_TYPE, 0),
        op(ALU64_MOV_X, UNDECIDED, KIND, 0, 0),
        op(ALU32_RSH_K, UNDECIDED, 0, 0, 16),
        op(ALU32_AND_K, KIND, 0, 0, 0xffff),
        op(LDX_MEM_W, MAJOR, CONTEXT, OFFSET_MAJOR, 0),
        op(LDX_MEM_W, MINOR, CONTEXT, OFFSET_MINOR, 0),
    ];
    for rule in rules.iter().rev() {
        program.extend(block(rule));
        if rule.is_total() {
            // Nothing before it can matter; and the verifier refuses code that is never reached.
            return program;
        }
    }
    program.extend(answer(0));
    program
}

/// One rule: leave the block where the device does not match, else decide the accesses that the rule names.
fn block(rule: &DeviceRule) -> Vec<Instruction> {
    if rule.is_total() {
        return answer(match rule.verdict {
            Verdict::Allow => 1,
            Verdict::Deny => 0,
        })
        .to_vec();
    }
    let decision = decide(rule.verdict, rule.access);
    let mut tests = Vec::new();
    if let Some(kind) = rule.kind {
        tests.push((KIND, kind.code()));
    }
    if let Some(major) = rule.major {
        tests.push((MAJOR, major));
    }
    if let Some(minor) = rule.minor {
        tests.push((MINOR, minor));
    }
    let mut block = Vec::new();
    let mut left = tests.len() + decision.len();
    for (register, value) in tests {
        left -= 1;
        block.push(op(JMP_JNE_K, register, 0, jump(left), immediate(value)));
    }
    block.extend(decision);
    block
}

fn decide(verdict: Verdict, access: Access) -> Vec<Instruction> {
    let bits = immediate(access.bits());
    let [set_answer, leave] = match verdict {
        Verdict::Allow => answer(1),
        Verdict::Deny => answer(0),
    };
    match verdict {
        Verdict::Allow => vec![
            op(ALU32_AND_K, UNDECIDED, 0, 0, !bits),
            op(JMP_JNE_K, UNDECIDED, 0, 2, 0),
            set_answer,
            leave,
        ],
        Verdict::Deny => vec![
            op(JMP_JSET_K, UNDECIDED, 0, 1, bits),
            op(JMP_JA, 0, 0, 2, 0),
            set_answer,
            leave,
        ],
    }
}

fn answer(value: i32) -> [Instruction; 2] {
    [op(ALU32_MOV_K, ANSWER, 0, 0, value), op(EXIT, 0, 0, 0, 0)]
}

fn op(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    // Bit fields: the destination is the lower half on little-endian machines, the upper on big-endian ones.
    let registers = if cfg!(target_endian = "little") {
        destination | (source << 4)
    } else {
        source | (destination << 4)
    };
    Instruction {
        code,
        registers,
        offset,
        immediate,
    }
}

fn jump(instructions: usize) -> i16 {
    i16::try_from(instructions).expect("a block has at most seven instructions")
}

fn immediate(value: u32) -> i32 {
    i32::try_from(value).expect("device numbers and access bits are below 2^31 by construction")
}

impl DeviceKind {
    /// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
    fn code(self) -> u32 {
        match self {
            Self::Block => 1,
            Self::Character => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::devices::tests::{any_rule, oracle};

    /// What the kernel would answer: executes the program for one request.
    fn run(program: &[Instruction], kind: u32, access: u32, major: u32, minor: u32) -> u64 {
        let context = [(access << 16) | kind, major, minor];
        let mut registers = [0_u64; 11];
        let mut at = 0_usize;
        for _ in 0..program.len() * 2 {
            let it = program[at];
            let (to, from) = if cfg!(target_endian = "little") {
                (
                    usize::from(it.registers & 15),
                    usize::from(it.registers >> 4),
                )
            } else {
                (
                    usize::from(it.registers >> 4),
                    usize::from(it.registers & 15),
                )
            };
            let short = it.immediate.cast_unsigned();
            let wide = i64::from(it.immediate).cast_unsigned();
            let mut next = at + 1;
            let target = next.checked_add_signed(isize::from(it.offset)).unwrap();
            let low = u32::try_from(registers[to] & 0xffff_ffff).unwrap();
            match it.code {
                LDX_MEM_W => {
                    assert_eq!(from, usize::from(CONTEXT));
                    registers[to] = u64::from(context[usize::try_from(it.offset).unwrap() / 4]);
                }
                ALU32_AND_K => registers[to] = u64::from(low & short),
                ALU32_RSH_K => registers[to] = u64::from(low >> short),
                ALU32_MOV_K => registers[to] = u64::from(short),
                ALU64_MOV_X => registers[to] = registers[from],
                JMP_JNE_K if registers[to] != wide => next = target,
                JMP_JSET_K if registers[to] & wide != 0 => next = target,
                JMP_JA => next = target,
                JMP_JNE_K | JMP_JSET_K => {}
                EXIT => return registers[0],
                other => panic!("unknown instruction {other:#x}"),
            }
            at = next;
        }
        panic!("the program does not end");
    }

    /// Kind, access, major, minor; the answer.
    type Request = (u32, u32, u32, u32, u64);

    fn rule(text: &str) -> DeviceRule {
        DeviceRule::parse(text).unwrap()
    }

    #[test]
    fn programs_answer_as_the_rules_say() {
        let character = DeviceKind::Character.code();
        let block = DeviceKind::Block.code();
        let (m, r, w) = (1, 2, 4);
        let table: &[(&[&str], &[Request])] = &[
            (&[], &[(character, r, 1, 3, 0)]),
            (
                &["deny a", "allow c 1:3 rwm"],
                &[
                    (character, r | w, 1, 3, 1),
                    (character, m, 1, 3, 1),
                    (block, r, 1, 3, 0),
                    (character, r, 1, 5, 0),
                ],
            ),
            (
                &["deny a", "allow c *:* m", "allow c 136:* rw"],
                &[
                    (character, m, 10, 229, 1),
                    (character, r, 10, 229, 0),
                    (character, m | r, 10, 229, 0),
                    (character, r | w, 136, 77, 1),
                ],
            ),
            (
                &["allow a", "deny b *:* w", "allow b 8:0 w"],
                &[
                    (block, r, 8, 0, 1),
                    (block, r | w, 8, 0, 1),
                    (block, r | w, 8, 1, 0),
                    (block, r, 8, 1, 1),
                    (character, r | w | m, 1, 1, 1),
                ],
            ),
            (&["allow a", "deny a"], &[(character, r, 1, 3, 0)]),
            (&["deny a", "allow a"], &[(block, r | w | m, 8, 0, 1)]),
            (
                &["allow c 1:3 r", "allow c 1:3 w"],
                &[(character, r | w, 1, 3, 1), (character, m, 1, 3, 0)],
            ),
        ];
        for (rules, requests) in table {
            let parsed: Vec<_> = rules.iter().map(|text| rule(text)).collect();
            let program = assemble(&parsed);
            for (kind, access, major, minor, expected) in *requests {
                assert_eq!(
                    run(&program, *kind, *access, *major, *minor),
                    *expected,
                    "{rules:?}: kind {kind} access {access} device {major}:{minor}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn programs_agree_with_the_definition(
            rules in proptest::collection::vec(any_rule(), 0..12),
            kind in prop_oneof![Just(DeviceKind::Block), Just(DeviceKind::Character)],
            access in 1_u32..8,
            major in 0_u32..4,
            minor in 0_u32..4,
        ) {
            let answer = run(&assemble(&rules), kind.code(), access, major, minor);
            prop_assert_eq!(answer == 1, oracle(&rules, kind, access, major, minor));
        }
    }
}
