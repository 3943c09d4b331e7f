//! The one-time set-up token: who can read the data folder makes the first account, the admin.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use store::{Batch, Store};
use subtle::ConstantTimeEq;

use crate::data::{ADMINS, SETUP, SetupRecord};
use crate::error::GatewayError;

/// The file with the token.
#[derive(Debug)]
pub(crate) struct Setup {
    store: Store,
    file: PathBuf,
}

impl Setup {
    /// Looks whether there is an admin. If not, makes the token (or takes the one that is there) and returns it.
    pub(crate) async fn open(store: &Store, file: PathBuf) -> Result<(Self, Option<String>), GatewayError> {
        let setup = Self { store: store.clone(), file };
        if !setup.is_needed()? {
            setup.finish();
            return Ok((setup, None));
        }
        let kept = fs::read_to_string(&setup.file).ok().map(|text| text.trim().to_owned());
        if let Some(token) = kept.filter(|token| setup.check(token).is_ok()) {
            return Ok((setup, Some(token)));
        }
        let token = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
        write_private(&setup.file, &token)
            .map_err(|source| GatewayError::Io { what: "the set-up token cannot be written", source })?;
        let record = SetupRecord { token_hash: hash(&token) };
        store.write(Batch::new().put(SETUP, &(), &record)).await?;
        Ok((setup, Some(token)))
    }

    /// Whether there is no admin yet.
    pub(crate) fn is_needed(&self) -> Result<bool, GatewayError> {
        Ok(self.store.count(ADMINS, &())? == 0)
    }

    /// A batch that uses the token up, if it is the one.
    pub(crate) fn check(&self, token: &str) -> Result<Batch, GatewayError> {
        let record = self.store.get(SETUP, &())?.ok_or(GatewayError::SetupTokenInvalid)?;
        if bool::from(record.token_hash.ct_eq(&hash(token))) {
            Ok(Batch::new().assert_equal(SETUP, &(), &record).delete(SETUP, &()))
        } else {
            Err(GatewayError::SetupTokenInvalid)
        }
    }

    /// Removes the file: there is an admin.
    pub(crate) fn finish(&self) {
        if let Err(error) = fs::remove_file(&self.file)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %self.file.display(), "the used set-up token cannot be removed");
        }
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.trim()).into()
}

/// Writes a new file that nobody else can read, not even for a moment.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn the_token_survives_a_restart_and_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let _ = store::durable::install();
        let store = Store::open(&folder.path().join("store"), store::Options::default()).unwrap();
        let file = folder.path().join("setup-token");
        let (setup, token) = Setup::open(&store, file.clone()).await.unwrap();
        let token = token.unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&file).unwrap().trim(), token);
        let (_, again) = Setup::open(&store, file.clone()).await.unwrap();
        assert_eq!(again.unwrap(), token);
        assert!(matches!(setup.check("wrong"), Err(GatewayError::SetupTokenInvalid)));
        let used = setup.check(&token).unwrap().add(ADMINS, &(), 1);
        store.write(used).await.unwrap();
        assert!(matches!(setup.check(&token), Err(GatewayError::SetupTokenInvalid)));
        let (_, none) = Setup::open(&store, file.clone()).await.unwrap();
        assert!(none.is_none());
        assert!(!file.exists());
    }

    #[tokio::test]
    async fn a_lost_file_gets_a_new_token() {
        let folder = tempfile::tempdir().unwrap();
        let _ = store::durable::install();
        let store = Store::open(&folder.path().join("store"), store::Options::default()).unwrap();
        let file = folder.path().join("setup-token");
        let (_, first) = Setup::open(&store, file.clone()).await.unwrap();
        fs::write(&file, "something else").unwrap();
        let (setup, second) = Setup::open(&store, file).await.unwrap();
        assert_ne!(first, second);
        assert!(setup.check(&first.unwrap()).is_err());
        assert!(setup.check(&second.unwrap()).is_ok());
    }
}
