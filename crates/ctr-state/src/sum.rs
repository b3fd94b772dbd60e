//! Check sums of what is stored as JSON.
//!
//! SQLite looks after its pages, and not after what is in them: a flipped bit in a text makes another text. The sum is the last member of
//! the object, so the text stays JSON for everybody else. It is against accidents, not against people.

/// What stands before the sum, which is sixteen digits, and after it.
const BEFORE: &str = "\"sum\":\"";
const AFTER: &str = "\"}";
const DIGITS: usize = 16;

/// Adds its sum to an object in JSON. What is stored `beside` it and belongs to it counts, too.
pub(crate) fn seal(json: &str, beside: &[&str]) -> String {
    let body = json
        .strip_suffix('}')
        .expect("what is stored is a JSON object");
    let comma = if body.ends_with('{') { "" } else { "," };
    let body = format!("{body}{comma}");
    let sum = sum(&body, beside);
    format!("{body}{BEFORE}{sum:016x}{AFTER}")
}

/// Whether a text still has its sum. One without any, which an older program has written, is taken as it is.
pub(crate) fn check(json: &str, beside: &[&str]) -> Result<(), String> {
    let Some((body, rest)) = json.rsplit_once(BEFORE) else {
        return Ok(());
    };
    let digits = rest
        .strip_suffix(AFTER)
        .filter(|digits| digits.len() == DIGITS);
    match digits {
        Some(digits) if *digits == format!("{:016x}", sum(body, beside)) => Ok(()),
        Some(_) | None => Err("its check sum is wrong: it was changed where it lies".to_owned()),
    }
}

/// FNV-1a of 64 bits, over all parts with an end to each.
fn sum(body: &str, beside: &[&str]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let parts = std::iter::once(&body).chain(beside);
    parts
        .flat_map(|part| part.bytes().chain([0xff]))
        .fold(OFFSET, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(PRIME)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_is_json_and_one_bit_is_noticed() {
        for json in ["{}", r#"{"a":1,"b":"x"}"#] {
            let sealed = seal(json, &["beside"]);
            assert!(serde_json::from_str::<serde_json::Value>(&sealed).is_ok());
            assert_eq!(check(&sealed, &["beside"]), Ok(()));
            assert!(check(&sealed, &["besides"]).is_err());
            assert!(check(&sealed, &["besid", "e"]).is_err());
            let key = sealed.len() - BEFORE.len() - DIGITS - AFTER.len();
            for (at, bit) in (0..key).flat_map(|at| (0..7).map(move |bit| (at, bit))) {
                let mut bytes = sealed.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let changed = String::from_utf8(bytes).unwrap();
                assert!(check(&changed, &["beside"]).is_err(), "{changed}");
            }
        }
    }

    #[test]
    fn a_text_of_an_older_program_is_taken_as_it_is() {
        assert_eq!(check(r#"{"a":1}"#, &[]), Ok(()));
    }
}
