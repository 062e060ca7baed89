//! What is written into a journal, together.

use bytes::Bytes;
use rusqlite::{Transaction, params};
use syncline::blob::Manifest;
use syncline::files::{About, Fingerprint, Held, Issues};
use syncline::tree::{Content, Node};
use syncline::{Cursor, EntityId, OpId};

use super::form::{write_content, write_cursor, write_held, write_issue, write_print};
use super::load::{Key, Pin, Status, Waiting};
use super::{Journal, JournalError};

type Done = Result<(), JournalError>;

/// Writes that take effect together.
#[derive(Debug)]
pub struct Batch<'a> {
    db: &'a Transaction<'a>,
}

impl<'a> Batch<'a> {
    pub(super) const fn of(db: &'a Transaction<'a>) -> Self {
        Self { db }
    }

    fn run(&self, sql: &str, values: impl rusqlite::Params) -> Done {
        self.db.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Holds a node, or holds it otherwise; `None`: no longer.
    ///
    /// # Errors
    /// What the database says; so with all of these.
    pub fn hold(&self, id: EntityId, held: Option<&Held>) -> Done {
        match held {
            Some(held) => {
                let bytes = write_held(held);
                self.run("INSERT OR REPLACE INTO held VALUES (?1, ?2)", params![id.as_bytes(), &bytes[..]])
            }
            None => self.run("DELETE FROM held WHERE id = ?1", [id.as_bytes()]),
        }
    }

    /// Notes a node as the server has it; `None`: it is forgotten there.
    ///
    /// # Errors
    /// What the database says.
    pub fn remote(&self, id: EntityId, node: Option<&Node>) -> Done {
        match node {
            Some(node) => {
                let bytes = node.to_bytes();
                self.run("INSERT OR REPLACE INTO remote VALUES (?1, ?2)", params![id.as_bytes(), &bytes[..]])
            }
            None => self.run("DELETE FROM remote WHERE id = ?1", [id.as_bytes()]),
        }
    }

    /// Holds nothing any more.
    ///
    /// # Errors
    /// What the database says.
    pub fn forget_held(&self) -> Done {
        self.run("DELETE FROM held", [])
    }

    /// Forgets all that is known of the server's tree: it is read anew.
    ///
    /// # Errors
    /// What the database says.
    pub fn forget_remote(&self) -> Done {
        self.run("DELETE FROM remote", [])?;
        self.forget(Key::Cursor)
    }

    /// Notes up to where the log was read.
    ///
    /// # Errors
    /// What the database says.
    pub fn cursor(&self, cursor: Cursor) -> Done {
        self.note(Key::Cursor, &write_cursor(cursor))
    }

    /// Notes which volume the folder is on.
    ///
    /// # Errors
    /// What the database says.
    pub fn volume(&self, volume: u64) -> Done {
        self.note(Key::Volume, &volume.to_be_bytes())
    }

    /// Notes how the last sync went.
    ///
    /// # Errors
    /// What the database says.
    pub fn status(&self, status: &Status) -> Done {
        self.note(Key::Status, &status.to_bytes())
    }

    /// Notes that leaving the folder has begun.
    ///
    /// # Errors
    /// What the database says.
    pub fn leaving(&self) -> Done {
        self.note(Key::Leaving, &[])
    }

    fn note(&self, key: Key, value: &[u8]) -> Done {
        self.run("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", params![key.name(), value])
    }

    fn forget(&self, key: Key) -> Done {
        self.run("DELETE FROM meta WHERE key = ?1", [key.name()])
    }

    /// Notes a commit before it is sent.
    ///
    /// # Errors
    /// What the database says; a commit of this id that waits already is one.
    pub fn wait(&self, waiting: &Waiting) -> Done {
        let Waiting { id, asked, told } = waiting;
        self.run(
            "INSERT INTO outbox(id, asked, told) VALUES (?1, ?2, ?3)",
            params![id.as_bytes(), &asked[..], &told[..]],
        )
    }

    /// A commit was answered.
    ///
    /// # Errors
    /// What the database says.
    pub fn answered(&self, id: OpId) -> Done {
        self.run("DELETE FROM outbox WHERE id = ?1", [id.as_bytes()])
    }

    /// Notes what a file contains that looks like this, and where it is cut.
    ///
    /// # Errors
    /// What the database says.
    pub fn content(&self, print: &Fingerprint, content: &Content, manifest: Option<&Manifest>) -> Done {
        let (print, content) = (write_print(print), write_content(content));
        self.run("INSERT OR REPLACE INTO contents VALUES (?1, ?2)", params![&print[..], &content[..]])?;
        match manifest {
            Some(manifest) => self.manifest(manifest),
            None => Ok(()),
        }
    }

    /// Notes where a file is cut.
    ///
    /// # Errors
    /// What the database says.
    pub fn manifest(&self, manifest: &Manifest) -> Done {
        let (id, bytes): (_, Bytes) = (manifest.id(), manifest.to_bytes());
        self.run("INSERT OR IGNORE INTO manifests VALUES (?1, ?2)", params![id.as_bytes(), &bytes[..]])
    }

    /// Forgets what files contained of which nothing looks so any more, and how contents are cut that nobody names.
    ///
    /// # Errors
    /// What the database says.
    pub fn keep_contents(&self, mut keep: impl FnMut(&Fingerprint, &Content) -> bool) -> Done {
        let mut named = std::collections::HashSet::new();
        for (print, content) in super::load::contents(self.db)? {
            if keep(&print, &content) {
                named.extend(content.manifest);
            } else {
                self.run("DELETE FROM contents WHERE print = ?1", [&write_print(&print)[..]])?;
            }
        }
        named.extend(super::load::held(self.db)?.into_iter().filter_map(|(_, held)| held.content?.manifest));
        for id in super::load::manifests(self.db)? {
            if !named.contains(&id) {
                self.run("DELETE FROM manifests WHERE id = ?1", [id.as_bytes()])?;
            }
        }
        Ok(())
    }

    /// Notes what is wanted of a node and, if it is a folder, of what is in it; `None`: what is wanted of its folder.
    ///
    /// # Errors
    /// What the database says.
    pub fn pin(&self, node: EntityId, pin: Option<Pin>) -> Done {
        match pin {
            Some(pin) => self
                .run("INSERT OR REPLACE INTO pins VALUES (?1, ?2)", params![node.as_bytes(), i64::from(pin.number())]),
            None => self.run("DELETE FROM pins WHERE node = ?1", [node.as_bytes()]),
        }
    }

    /// Notes what the server refused: these and no others.
    ///
    /// # Errors
    /// What the database says.
    pub fn issues(&self, issues: &Issues) -> Done {
        self.run("DELETE FROM issues", [])?;
        for (folder, at, about, issue) in issues.iter() {
            let about = match about {
                About::Make => 0_i64,
                About::Move => 1,
                About::Fill => 2,
            };
            self.run(
                "INSERT INTO issues VALUES (?1, ?2, ?3, ?4)",
                params![folder.as_bytes(), at, about, &write_issue(issue)[..]],
            )?;
        }
        Ok(())
    }
}

impl Journal {
    /// Forgets what is held, what is on its way and what was read of the server, and keeps what its user wants: folder and
    /// server are taken for two that were never in touch.
    ///
    /// # Errors
    /// What the database says.
    pub fn start_over(&mut self) -> Done {
        self.write(|batch| {
            batch.forget_remote()?;
            batch.forget_held()?;
            batch.db.execute_batch("DELETE FROM outbox; DELETE FROM issues;")?;
            batch.forget(Key::Volume)
        })
    }
}
