//! The node's own folder: readable by its owner only, held by one process at a time. It holds the
//! few small secrets that a node makes for itself, and never a prompt or an answer in a file of
//! its own.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The admin token made at first start.
pub const TOKEN_FILE: &str = "admin-token";
const INSTALLATION_FILE: &str = "installation-key";
const NODE_FILE: &str = "node-id";
const LIFE_FILE: &str = "life";
const LOCK_FILE: &str = "lock";

/// The folder, held.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, closes it to everyone else, and takes it.
    pub fn open(path: &Path) -> Result<Folder> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| {
                format!(
                    "cannot make the folder {}: set FGY_DATA to one that can be",
                    path.display()
                )
            })?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).with_context(|| {
            format!(
                "{} belongs to someone else: set FGY_DATA to a folder of your own",
                path.display()
            )
        })?;
        let lock = private(path.join(LOCK_FILE)).with_context(|| {
            format!(
                "cannot write to {}: set FGY_DATA to a folder of your own",
                path.display()
            )
        })?;
        if lock.try_lock().is_err() {
            bail!(
                "{} is in use by another fgy: stop it, or set FGY_DATA to another folder",
                path.display()
            );
        }
        Ok(Folder {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// A path inside.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A small text kept in the folder, made by `make` if it is not there yet.
    pub fn text(&self, name: &str, make: impl FnOnce() -> Result<String>) -> Result<String> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(format!("cannot read {}", path.display())),
        }
        let text = make()?;
        self.put(name, text.as_bytes())?;
        Ok(text)
    }

    /// The admin token, made at first start.
    pub fn admin_token(&self, make: impl FnOnce() -> Result<String>) -> Result<String> {
        self.text(TOKEN_FILE, make)
    }

    /// This node's name, made at first start.
    pub fn node_id(&self, make: impl FnOnce() -> Result<String>) -> Result<String> {
        self.text(NODE_FILE, make)
    }

    /// The number of this start: above that of every start before, whatever the clock says.
    pub fn life(&self, now: u64) -> Result<u64> {
        let last = self.text(LIFE_FILE, || Ok("0".to_owned()))?;
        let life = now.max(last.parse::<u64>().unwrap_or(0) + 1);
        self.put(LIFE_FILE, life.to_string().as_bytes())?;
        Ok(life)
    }

    /// The copy of the installation key, with which a node starts while the store is away.
    pub fn installation_key(&self) -> Result<Option<[u8; 32]>> {
        let path = self.path.join(INSTALLATION_FILE);
        let mut key = [0; 32];
        match File::open(&path).and_then(|mut file| file.read_exact(&mut key)) {
            Ok(()) => Ok(Some(key)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context(format!(
                "{} is damaged: remove it while the store can be reached",
                path.display()
            )),
        }
    }

    /// Copies the installation key.
    pub fn keep_installation_key(&self, key: &[u8; 32]) -> Result<()> {
        self.put(INSTALLATION_FILE, key)
    }

    /// Written whole or not at all.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (path, draft) = (self.path.join(name), self.path.join(format!("{name}.new")));
        let write = || -> io::Result<()> {
            let mut file = private(draft.clone())?;
            file.set_len(0)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&draft, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }
}

fn private(path: PathBuf) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_owners_alone_and_one_process_holds_it() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("deep/er");
        let held = Folder::open(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let error = Folder::open(&path).err().unwrap();
        assert!(error.to_string().contains("in use"), "{error}");
        drop(held);
        Folder::open(&path).unwrap();
    }

    #[test]
    fn a_life_is_above_the_one_before_when_the_clock_goes_back_too() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::open(base.path()).unwrap();
        assert_eq!(folder.life(1_000).unwrap(), 1_000);
        assert_eq!(folder.life(10).unwrap(), 1_001);
        assert_eq!(folder.life(5_000).unwrap(), 5_000);
    }

    #[test]
    fn what_is_made_once_is_found_again() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::open(base.path()).unwrap();
        assert_eq!(folder.admin_token(|| Ok("first".into())).unwrap(), "first");
        assert_eq!(folder.admin_token(|| Ok("second".into())).unwrap(), "first");
        let mode = fs::metadata(folder.join(TOKEN_FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(folder.installation_key().unwrap(), None);
        folder.keep_installation_key(&[7; 32]).unwrap();
        assert_eq!(folder.installation_key().unwrap(), Some([7; 32]));
    }
}
