//! The unique IDs that IAM gives to everything.

/// Returns a random ID as IAM makes them: a prefix for the kind of entity, then base32.
pub(crate) fn unique_id(prefix: &str, length: usize) -> String {
    const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random = (0..length).map(|_| char::from(BASE32[fastrand::usize(..BASE32.len())]));
    prefix.chars().chain(random).collect()
}
