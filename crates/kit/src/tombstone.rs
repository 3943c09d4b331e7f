//! What stays of somebody or something that was deleted: a hash, so that neither id nor name returns, and no call
//! that was under way writes about it. The id itself is nowhere any more. An id has 74 random bits, so nobody gets
//! from the hash back to it; a name can be guessed, and a guess confirmed: that is what a reserved name is for.

use sha2::{Digest, Sha256};

/// The key of a tombstone.
pub type Tombstone = [u8; 16];

/// The tombstone of an id.
pub fn of_id(id: [u8; 16]) -> Tombstone {
    of("id", &id)
}

/// The tombstone of a name of this kind, `username` for example.
pub fn of_name(kind: &str, name: &str) -> Tombstone {
    of(kind, name.as_bytes())
}

fn of(kind: &str, bytes: &[u8]) -> Tombstone {
    let mut hash = Sha256::new();
    hash.update(kind.as_bytes());
    hash.update([0]);
    hash.update(bytes);
    let digest = hash.finalize();
    std::array::from_fn(|index| digest[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_names_are_kept_apart() {
        assert_eq!(of_name("username", "ada"), of_name("username", "ada"));
        assert_ne!(of_name("username", "ada"), of_name("handle", "ada"));
        assert_ne!(of_name("username", "ada"), of_name("username", "adb"));
        assert_ne!(of_id([1; 16]), [1; 16]);
    }
}
