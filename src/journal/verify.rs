//! Looking back over the audit, offline or beside a running server: whether any entry, and anything that an entry
//! speaks of, was edited, cut off or stamped anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row, Transaction};

use super::audit::{
    ActRow, AuditEntry, Checkpoint, Contents, EventRow, Rows, Span, body_digest, is_signed, read_checkpoints,
};
use super::inbox::ContentKey;
use super::reader::{ReadError, Reader};
use super::sqlite::{Doing, SqlError, beside};
use super::witness::{self, Testimony};
use crate::case::id::SourceName;

/// What was found whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Entries of the chain.
    pub entries: u64,
    /// Signed checkpoints that it agrees with.
    pub checkpoints: u64,
    /// Deliveries that an entry speaks of and that are no longer kept.
    pub pruned: u64,
    /// The key that signed the checkpoints, in hexadecimal: compare it with the one that the threads show.
    pub key: Option<String>,
}

/// The audit is not whole.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Something was edited, cut off or stamped anew.
    #[error("the audit is broken at entry {height}: {why}")]
    Broken {
        /// The first entry that is not as it was written.
        height: u64,
        /// What does not agree.
        why: String,
    },
    /// It could not be looked at.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file beside the store could not be looked at.
    #[error("could not read {}: {cause}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
}

impl From<SqlError> for VerifyError {
    fn from(cause: SqlError) -> VerifyError {
        VerifyError::Read(cause.into())
    }
}

fn broken<T>(height: u64, why: impl Into<String>) -> Result<T, VerifyError> {
    Err(VerifyError::Broken { height, why: why.into() })
}

/// Verifies the whole audit of a store against its tables, its witness, its checkpoints, and those in `outside`: a
/// copy that was kept elsewhere. Only such a copy shows that everything here was stamped anew with another key.
pub fn verify(store: &Path, outside: Option<&Path>) -> Result<Verified, VerifyError> {
    let reader = Reader::open(store).map_err(ReadError::from)?;
    let id = reader.store_id()?;
    let signed = checkpoints(store, outside)?;
    let key = signed.values().flatten().next().map(|checkpoint| checkpoint.key.clone());
    let (entries, pruned) = {
        let mut connection = super::sqlite::open_reader(store).map_err(ReadError::from)?;
        // One moment of the store, although a server may write on.
        let moment = connection.transaction().doing("begin to read")?;
        let mut looking = Looking::new(&moment, &id, &signed)?;
        looking.chain()?;
        looking.rest()?;
        (looking.height, looking.pruned)
    };
    if let Some((height, _)) = signed.range(entries + 1..).next() {
        return broken(entries + 1, format!("entry {height} was signed, and is gone: the end was cut off"));
    }
    if let Ok(Testimony::Said(said)) = witness::read(store)
        && said.store == id
        && said.height > entries
    {
        let why = format!("the witness knows entry {}, and it is gone: the end was cut off", said.height);
        return broken(entries + 1, why);
    }
    let checkpoints = signed.values().map(|same| same.len() as u64).sum();
    Ok(Verified { entries, checkpoints, pruned, key })
}

type Signed = BTreeMap<u64, Vec<Checkpoint>>;

fn checkpoints(store: &Path, outside: Option<&Path>) -> Result<Signed, VerifyError> {
    let mut signed = Signed::new();
    let mut key: Option<String> = None;
    let own = beside(store, "checkpoints");
    // The outside copy first: its key is the one that counts.
    for (path, needed) in outside.map(|path| (path, true)).into_iter().chain([(own.as_path(), false)]) {
        let file = |cause| VerifyError::File { path: path.to_owned(), cause };
        let lines = match read_checkpoints(path).map_err(file)? {
            Some(lines) => lines,
            None if needed => return Err(file(std::io::ErrorKind::NotFound.into())),
            None => continue,
        };
        for line in lines {
            if !is_signed(&line) {
                return broken(line.height, format!("{} holds a false signature", path.display()));
            }
            if key.get_or_insert_with(|| line.key.clone()) != &line.key {
                return broken(line.height, format!("{} was signed with another key", path.display()));
            }
            let same = signed.entry(line.height).or_default();
            if !same.contains(&line) {
                same.push(line);
            }
        }
    }
    Ok(signed)
}

/// The state of one look from the first entry to the last.
struct Looking<'a> {
    store: &'a Connection,
    id: &'a str,
    signed: &'a Signed,
    height: u64,
    hash: String,
    event: u64,
    delivery: u64,
    acts: u64,
    cursor: u64,
    /// Deliveries up to this one were deleted, as an entry says.
    deleted: u64,
    pruned: u64,
    standing: Option<(u64, String)>,
    dossiers: BTreeMap<String, (u64, String)>,
    cases: BTreeMap<String, (u64, String)>,
}

impl<'a> Looking<'a> {
    fn new(store: &'a Transaction<'_>, id: &'a str, signed: &'a Signed) -> Result<Looking<'a>, VerifyError> {
        // Taken on trust here: the entry that says so is verified like every other.
        let deleted: Option<u64> = store
            .query_row("SELECT max(contents ->> '$.pruned') FROM audit", [], |row| row.get(0))
            .doing("read the audit")?;
        Ok(Looking {
            store,
            id,
            signed,
            height: 0,
            hash: id.to_owned(),
            event: 0,
            delivery: 0,
            acts: 0,
            cursor: 0,
            deleted: deleted.unwrap_or(0),
            pruned: 0,
            standing: None,
            dossiers: BTreeMap::new(),
            cases: BTreeMap::new(),
        })
    }

    fn chain(&mut self) -> Result<(), VerifyError> {
        let doing = "read the audit";
        let mut entries = self
            .store
            .prepare("SELECT height, at, contents, prev, hash FROM audit ORDER BY height")
            .doing(doing)?;
        let mut rows = entries.query([]).doing(doing)?;
        while let Some(row) = rows.next().doing(doing)? {
            let entry = entry(row).doing(doing)?;
            self.entry(&entry)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &AuditEntry) -> Result<(), VerifyError> {
        let height = self.height + 1;
        if entry.height != height {
            return broken(height, format!("entry {} follows entry {}", entry.height, self.height));
        }
        if entry.prev != self.hash {
            return broken(height, "it does not follow from the entry before");
        }
        if entry.hash != entry.compute_hash() {
            return broken(height, "it was edited");
        }
        for checkpoint in self.signed.get(&height).into_iter().flatten() {
            if checkpoint.store != self.id || checkpoint.head != entry.hash {
                return broken(height, "it is not the entry that was signed: the chain was stamped anew");
            }
        }
        (self.height, self.hash) = (height, entry.hash.clone());
        match serde_json::from_str::<Contents>(&entry.contents) {
            Ok(contents) => self.contents(&contents),
            Err(cause) => broken(height, format!("it cannot be read: {cause}")),
        }
    }

    fn contents(&mut self, contents: &Contents) -> Result<(), VerifyError> {
        let height = self.height;
        if let Some(span) = &contents.deliveries {
            self.deliveries(span)?;
        }
        if let Some(span) = &contents.dispositions {
            self.dispositions(span)?;
        }
        if let Some(span) = &contents.events {
            self.events(span)?;
        }
        if let Some(digest) = &contents.acts {
            self.acts(digest)?;
        }
        if let Some((name, digest)) = &contents.rules {
            let text: Option<String> = self
                .store
                .query_row("SELECT max(text) FROM rules WHERE digest = ?1", [name], |row| row.get(0))
                .doing("read a rule table")?;
            if text.map(|text| body_digest("rules", &text)).as_ref() != Some(digest) {
                return broken(height, format!("the rule table {name} was edited"));
            }
        }
        if let Some(digest) = &contents.standing {
            self.standing = Some((height, digest.clone()));
        }
        let latest = |digests: &BTreeMap<String, String>| {
            digests.iter().map(|(name, digest)| (name.clone(), (height, digest.clone()))).collect::<Vec<_>>()
        };
        self.dossiers.extend(latest(&contents.dossiers));
        self.cases.extend(latest(&contents.cases));
        self.cursor = self.cursor.max(contents.cursor.unwrap_or(0));
        Ok(())
    }

    fn deliveries(&mut self, span: &Span) -> Result<(), VerifyError> {
        let doing = "read the deliveries";
        if span.first != self.delivery + 1 {
            return broken(self.height, format!("delivery {} is in no entry", self.delivery + 1));
        }
        self.delivery = span.last;
        let mut ask = self
            .store
            .prepare_cached(
                "SELECT id, received_at, source, key, dead, body FROM deliveries WHERE id BETWEEN ?1 AND ?2
                 ORDER BY id",
            )
            .doing(doing)?;
        let mut rows = ask.query([span.first, span.last]).doing(doing)?;
        let (mut digested, mut found) = (Rows::new("deliveries"), 0);
        while let Some(row) = rows.next().doing(doing)? {
            let (id, at) = (row.get(0).doing(doing)?, row.get(1).doing(doing)?);
            let [source, dead] = texts(row, [2, 4]).doing(doing)?;
            let (stored, body): (Vec<u8>, Vec<u8>) = (row.get(3).doing(doing)?, row.get(5).doing(doing)?);
            let key = ContentKey::of(&SourceName::new(source.unwrap_or_default()), &body);
            if stored != key.0 {
                return broken(self.height, format!("delivery {id} was edited"));
            }
            digested.delivery(id, at, &key, dead.as_deref());
            found += 1;
        }
        let whole = span.last - span.first + 1;
        if span.first <= self.deleted {
            self.pruned += whole.saturating_sub(found);
            return Ok(());
        }
        self.agree(&span.digest, digested.digest(), "its deliveries were edited or deleted")
    }

    fn dispositions(&mut self, span: &Span) -> Result<(), VerifyError> {
        if span.first <= self.deleted {
            return Ok(());
        }
        let doing = "read what became of deliveries";
        let mut ask = self
            .store
            .prepare_cached(
                "SELECT delivery, body FROM dispositions WHERE delivery BETWEEN ?1 AND ?2 AND height = ?3
                 ORDER BY delivery",
            )
            .doing(doing)?;
        let mut rows = ask.query([span.first, span.last, self.height]).doing(doing)?;
        let mut digested = Rows::new("dispositions");
        while let Some(row) = rows.next().doing(doing)? {
            let body: String = row.get(1).doing(doing)?;
            digested.disposition(row.get(0).doing(doing)?, &body);
        }
        self.agree(&span.digest, digested.digest(), "what became of its deliveries was edited or deleted")
    }

    fn events(&mut self, span: &Span) -> Result<(), VerifyError> {
        let doing = "read the events";
        if span.first != self.event + 1 {
            return broken(self.height, format!("event {} is in no entry", self.event + 1));
        }
        self.event = span.last;
        let mut ask = self
            .store
            .prepare_cached(
                "SELECT seq, at, service, case_id, body FROM events WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq",
            )
            .doing(doing)?;
        let mut rows = ask.query([span.first, span.last]).doing(doing)?;
        let mut digested = Rows::new("events");
        while let Some(row) = rows.next().doing(doing)? {
            let (seq, at) = (row.get(0).doing(doing)?, row.get(1).doing(doing)?);
            let [service, case, body]: [Option<String>; 3] = texts(row, [2, 3, 4]).doing(doing)?;
            let body = body.unwrap_or_default();
            let event = EventRow { at, service: service.as_deref(), case: case.as_deref(), body: &body };
            digested.event(seq, &event);
        }
        self.agree(&span.digest, digested.digest(), "its events were edited or deleted")
    }

    fn acts(&mut self, digest: &str) -> Result<(), VerifyError> {
        let doing = "read the acts";
        let mut ask = self
            .store
            .prepare_cached(
                "SELECT id, at, service, suspect, case_id, step, attempt, class, automatic, mark FROM acts
                 WHERE height = ?1 ORDER BY id",
            )
            .doing(doing)?;
        let mut rows = ask.query([self.height]).doing(doing)?;
        let mut digested = Rows::new("acts");
        while let Some(row) = rows.next().doing(doing)? {
            let [service, suspect, case, class, mark] = texts(row, [2, 3, 4, 7, 9]).doing(doing)?;
            let act = ActRow {
                at: row.get(1).doing(doing)?,
                service: service.as_deref().unwrap_or_default(),
                suspect: suspect.as_deref(),
                case: case.as_deref().unwrap_or_default(),
                step: row.get(5).doing(doing)?,
                attempt: row.get(6).doing(doing)?,
                class: class.as_deref().unwrap_or_default(),
                automatic: row.get(8).doing(doing)?,
                mark: mark.as_deref().unwrap_or_default(),
            };
            digested.act(row.get(0).doing(doing)?, &act);
            self.acts += 1;
        }
        self.agree(digest, digested.digest(), "its acts were edited or deleted")
    }

    fn agree(&self, said: &str, found: Option<String>, why: &str) -> Result<(), VerifyError> {
        if found.as_deref() == Some(said) { Ok(()) } else { broken(self.height, why) }
    }

    /// What the tables hold beside what the entries speak of, and what is replaced in place.
    fn rest(&self) -> Result<(), VerifyError> {
        let after = self.height + 1;
        for (sql, known, what) in [
            ("SELECT coalesce(max(seq), 0) FROM events", self.event, "an event"),
            ("SELECT coalesce(max(id), 0) FROM deliveries", self.delivery, "a delivery"),
            ("SELECT count(*) FROM acts", self.acts, "an act"),
        ] {
            let found: u64 = self.store.query_row(sql, [], |row| row.get(0)).doing("read what is stored")?;
            if found > known {
                return broken(after, format!("the store holds {what} that no entry speaks of"));
            }
        }
        let cursor: u64 = self
            .store
            .query_row("SELECT cursor FROM store", [], |row| row.get(0))
            .doing("read the cursor")?;
        if cursor != self.cursor {
            return broken(after, "the cursor was moved");
        }
        let standing = self.standing.clone().map(|known| (String::new(), known)).into_iter().collect();
        self.replaced("SELECT '', body FROM standing", &standing, "standing")?;
        self.replaced("SELECT service, body FROM dossiers", &self.dossiers, "dossier")?;
        self.replaced("SELECT id, body FROM cases", &self.cases, "case")
    }

    fn replaced(
        &self,
        sql: &str,
        known: &BTreeMap<String, (u64, String)>,
        kind: &str,
    ) -> Result<(), VerifyError> {
        let doing = "read what is stored";
        let mut ask = self.store.prepare(sql).doing(doing)?;
        let mut rows = ask.query([]).doing(doing)?;
        let mut found = 0;
        while let Some(row) = rows.next().doing(doing)? {
            let (name, body): (String, String) = (row.get(0).doing(doing)?, row.get(1).doing(doing)?);
            match known.get(&name) {
                Some((_, digest)) if *digest == body_digest(kind, &body) => found += 1,
                Some((height, _)) => return broken(*height, format!("the {kind} {name} was edited")),
                None => return broken(self.height + 1, format!("no entry speaks of the {kind} {name}")),
            }
        }
        if found < known.len() { broken(self.height + 1, format!("a {kind} was deleted")) } else { Ok(()) }
    }
}

/// Texts of a row; what may not be absent reads as empty, and then does not agree with any digest.
fn texts<const N: usize>(row: &Row<'_>, columns: [usize; N]) -> rusqlite::Result<[Option<String>; N]> {
    let mut texts = [const { None }; N];
    for (text, column) in texts.iter_mut().zip(columns) {
        *text = row.get(column)?;
    }
    Ok(texts)
}

fn entry(row: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    Ok(AuditEntry {
        height: row.get(0)?,
        at: row.get(1)?,
        contents: row.get(2)?,
        prev: row.get(3)?,
        hash: row.get(4)?,
    })
}
