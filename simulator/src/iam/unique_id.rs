//! The unique IDs of IAM's entities.

/// Returns a random ID in IAM's format: a prefix for the kind of entity, followed by base32 characters.
pub(crate) fn unique_id(prefix: &str, length: usize) -> String {
    const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random = (0..length).map(|_| char::from(BASE32[fastrand::usize(..BASE32.len())]));
    prefix.chars().chain(random).collect()
}
