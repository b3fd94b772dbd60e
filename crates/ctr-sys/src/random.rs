//! Random names.

use rustix::rand::{GetRandomFlags, getrandom};

use crate::error::{Context, SysResult};

/// 256 random bits of the kernel's, `getrandom(2)`, as 64 lower-case hex digits: an identity that is never used twice.
///
/// # Errors
/// When the kernel gives none.
pub fn random_id() -> SysResult<String> {
    let mut bytes = [0_u8; 32];
    getrandom(&mut bytes, GetRandomFlags::empty())
        .context("read", || "random numbers".to_owned())?;
    Ok(hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_new_and_have_all_their_digits() {
        assert_eq!(hex(&[0, 1, 0x9a, 0xff]), "00019aff");
        let (one, two) = (random_id().unwrap(), random_id().unwrap());
        assert_eq!((one.len(), two.len()), (64, 64));
        assert_ne!(one, two);
    }
}
