//! What was written since it was last made durable, and what of it may be there after the power came back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use runtime::Random;

/// A file by identity, not by name: a file that is deleted and made again is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(u64);

/// One change that a power loss may undo.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// Bytes were written over `before`, which is shorter than `after` where the file had ended.
    Write { file: FileId, offset: usize, before: Vec<u8>, after: Vec<u8>, old_len: usize },
    /// The file was cut to `len`, losing `tail`.
    Truncate { file: FileId, len: usize, tail: Vec<u8> },
    /// A name was made for a new, empty file.
    Create { file: FileId, path: PathBuf },
    /// A name was removed, and with it the file's content.
    Delete { file: FileId, path: PathBuf, content: Vec<u8> },
}

impl Change {
    fn content_of(&self) -> Option<FileId> {
        match self {
            Self::Write { file, .. } | Self::Truncate { file, .. } => Some(*file),
            Self::Create { .. } | Self::Delete { .. } => None,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Write { before, after, .. } => before.len() + after.len(),
            Self::Truncate { tail, .. } => tail.len(),
            Self::Create { .. } => 0,
            Self::Delete { content, .. } => content.len(),
        }
    }
}

/// The files of a directory: names, and the content behind each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) names: BTreeMap<PathBuf, FileId>,
    pub(super) contents: BTreeMap<FileId, Vec<u8>>,
}

/// The changes to one directory's files that are not known to be durable, oldest first.
#[derive(Debug, Default)]
pub(super) struct Journal {
    names: BTreeMap<PathBuf, FileId>,
    changes: VecDeque<Change>,
    bytes: usize,
    next: u64,
}

impl Journal {
    /// What waits in memory for a sync; beyond it the oldest change counts as written back, as a kernel
    /// would have done long before.
    const MOST_BYTES: usize = 64 << 20;

    /// The file of that name, which is taken for durable where it was not known.
    pub(super) fn open(&mut self, path: &Path) -> FileId {
        if let Some(&file) = self.names.get(path) {
            return file;
        }
        let file = FileId(self.next);
        self.next += 1;
        self.names.insert(path.to_owned(), file);
        file
    }

    /// A new file of that name.
    pub(super) fn create(&mut self, path: &Path) -> FileId {
        self.names.remove(path);
        let file = self.open(path);
        self.push(Change::Create { file, path: path.to_owned() });
        file
    }

    /// The file of that name is gone; it held `content`.
    pub(super) fn delete(&mut self, path: &Path, content: Vec<u8>) {
        let file = self.open(path);
        self.names.remove(path);
        self.push(Change::Delete { file, path: path.to_owned(), content });
    }

    pub(super) fn push(&mut self, change: Change) {
        self.bytes += change.bytes();
        self.changes.push_back(change);
        while self.bytes > Self::MOST_BYTES {
            let Some(oldest) = self.changes.pop_front() else { break };
            self.bytes -= oldest.bytes();
        }
    }

    /// The file's content is durable; its name need not be.
    pub(super) fn sync(&mut self, file: FileId) {
        self.forget(|change| change.content_of() == Some(file));
    }

    /// Every name made or removed so far is durable.
    pub(super) fn sync_directory(&mut self) {
        self.forget(|change| change.content_of().is_none());
    }

    fn forget(&mut self, durable: impl Fn(&Change) -> bool) {
        self.changes.retain(|change| !durable(change));
        self.bytes = self.changes.iter().map(Change::bytes).sum();
    }

    /// Every name in use, and every one that a power loss may bring back.
    pub(super) fn paths(&self) -> BTreeSet<PathBuf> {
        let changed = self.changes.iter().filter_map(|change| match change {
            Change::Create { path, .. } | Change::Delete { path, .. } => Some(path),
            Change::Write { .. } | Change::Truncate { .. } => None,
        });
        self.names.keys().chain(changed).cloned().collect()
    }

    /// The file that a name stands for now.
    pub(super) fn names(&self) -> &BTreeMap<PathBuf, FileId> {
        &self.names
    }

    /// How many changes a power loss may undo.
    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// What is found after a power loss that came upon `now`: all that was durable, and of the rest a part
    /// that `random` chooses. Forgets everything: what is found is durable.
    pub(super) fn lose_power(&mut self, now: Files, random: &Random) -> Files {
        let changes = std::mem::take(&mut self.changes);
        self.bytes = 0;
        let mut files = now;
        for change in changes.iter().rev() {
            files.undo(change);
        }
        Survivors::draw(&changes, random).redo(&changes, &mut files);
        self.names = files.names.clone();
        files
    }
}

impl Files {
    fn undo(&mut self, change: &Change) {
        match change {
            Change::Write { file, offset, before, old_len, .. } => {
                // A file whose deletion is durable has no content to give back.
                let Some(content) = self.contents.get_mut(file) else { return };
                content[*offset..*offset + before.len()].copy_from_slice(before);
                content.truncate(*old_len);
            }
            Change::Truncate { file, tail, .. } => {
                let Some(content) = self.contents.get_mut(file) else { return };
                content.extend_from_slice(tail);
            }
            Change::Create { path, .. } => {
                self.names.remove(path);
            }
            Change::Delete { file, path, content } => {
                self.names.insert(path.clone(), *file);
                self.contents.insert(*file, content.clone());
            }
        }
    }

    fn write(&mut self, file: FileId, offset: usize, bytes: &[u8]) {
        let Some(content) = self.contents.get_mut(&file) else { return };
        let end = offset + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[offset..end].copy_from_slice(bytes);
    }
}

/// Which changes made it to the disk although nobody had waited for them.
struct Survivors<'a> {
    random: &'a Random,
    percent: u64,
    /// Names change in order, as in a file system with a journal of its own: so many did, the rest did not.
    names: usize,
}

impl<'a> Survivors<'a> {
    fn draw(changes: &VecDeque<Change>, random: &'a Random) -> Self {
        let names = changes.iter().filter(|change| change.content_of().is_none()).count() as u64;
        let names = usize::try_from(random.below(names + 1)).expect("it counts what is in memory");
        // Both ends matter: everything lost, and everything but a little kept.
        let percent = [0, 10, 50, 90, 100][usize::try_from(random.below(5)).expect("it is below five")];
        Self { random, percent, names }
    }

    fn redo(mut self, changes: &VecDeque<Change>, files: &mut Files) {
        for change in changes {
            match change {
                Change::Write { file, offset, after, .. } => self.redo_write(files, *file, *offset, after),
                Change::Truncate { file, len, .. } => {
                    if self.kept()
                        && let Some(content) = files.contents.get_mut(file)
                    {
                        content.truncate(*len);
                    }
                }
                Change::Create { file, path } if self.next_name() => {
                    files.names.insert(path.clone(), *file);
                }
                Change::Delete { path, .. } if self.next_name() => {
                    files.names.remove(path);
                }
                Change::Create { .. } | Change::Delete { .. } => {}
            }
        }
    }

    /// Sector by sector: a write larger than one may be torn, and the sectors do not keep their order.
    fn redo_write(&self, files: &mut Files, file: FileId, offset: usize, after: &[u8]) {
        const SECTOR: usize = 512;
        let mut at = 0;
        while at < after.len() {
            let end = after.len().min(at + SECTOR - (offset + at) % SECTOR);
            if self.kept() {
                files.write(file, offset + at, &after[at..end]);
            }
            at = end;
        }
    }

    fn kept(&self) -> bool {
        self.random.below(100) < self.percent
    }

    fn next_name(&mut self) -> bool {
        let kept = self.names > 0;
        self.names = self.names.saturating_sub(1);
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEDS: std::ops::Range<u64> = 0..200;

    /// What one file holds after each of many power losses; `None` where it is not there.
    fn found(changes: impl Fn(&mut Journal, &mut Files)) -> BTreeSet<Option<Vec<u8>>> {
        let after = |seed| {
            let (mut journal, mut files) = (Journal::default(), Files::default());
            changes(&mut journal, &mut files);
            let left = journal.lose_power(files, &Random::seeded(seed));
            left.names.get(Path::new("a")).map(|file| left.contents[file].clone())
        };
        SEEDS.map(after).collect()
    }

    fn durable(journal: &mut Journal, files: &mut Files, content: &[u8]) -> FileId {
        let file = journal.open(Path::new("a"));
        files.names.insert("a".into(), file);
        files.contents.insert(file, content.to_vec());
        file
    }

    fn write(journal: &mut Journal, files: &mut Files, file: FileId, offset: usize, after: &[u8]) {
        let content = &files.contents[&file];
        let old_len = content.len();
        let before = content[offset..old_len.min(offset + after.len())].to_vec();
        files.write(file, offset, after);
        journal.push(Change::Write { file, offset, before, after: after.to_vec(), old_len });
    }

    fn cut(journal: &mut Journal, files: &mut Files, file: FileId, len: usize) {
        let tail = files.contents.get_mut(&file).expect("it is there").split_off(len);
        journal.push(Change::Truncate { file, len, tail });
    }

    #[test]
    fn what_was_synced_is_found_and_what_was_not_is_found_lost_or_torn() {
        let states = found(|journal, files| {
            let file = durable(journal, files, &[0; 1_024]);
            write(journal, files, file, 0, &[1; 1_024]);
            journal.sync(file);
            write(journal, files, file, 0, &[2; 1_024]);
        });
        let torn = |first: u8, second: u8| Some([[first; 512], [second; 512]].concat());
        assert_eq!(states, BTreeSet::from([torn(1, 1), torn(1, 2), torn(2, 1), torn(2, 2)]));
    }

    #[test]
    fn bytes_beside_a_write_are_never_harmed() {
        let states = found(|journal, files| {
            let file = durable(journal, files, b"....");
            write(journal, files, file, 1, b"ab");
        });
        assert_eq!(states, BTreeSet::from([Some(b"....".to_vec()), Some(b".ab.".to_vec())]));
    }

    #[test]
    fn a_file_may_keep_its_old_length_or_have_its_new_one() {
        let states = found(|journal, files| {
            let file = durable(journal, files, b"abcd");
            cut(journal, files, file, 1);
            write(journal, files, file, 1, b"x");
        });
        let possible: [&[u8]; 4] = [b"abcd", b"a", b"axcd", b"ax"];
        assert_eq!(states, possible.map(|content| Some(content.to_vec())).into());
    }

    #[test]
    fn a_name_may_be_lost_until_the_directory_is_synced() {
        for is_synced in [false, true] {
            let states = found(|journal, files| {
                let file = journal.create(Path::new("a"));
                files.names.insert("a".into(), file);
                files.contents.insert(file, Vec::new());
                write(journal, files, file, 0, b"x");
                journal.sync(file);
                if is_synced {
                    journal.sync_directory();
                }
            });
            assert_eq!(states.contains(&None), !is_synced);
            assert!(states.contains(&Some(b"x".to_vec())));
        }
    }

    #[test]
    fn a_deleted_file_may_be_back_until_the_directory_is_synced() {
        for is_synced in [false, true] {
            let states = found(|journal, files| {
                durable(journal, files, b"x");
                let file = files.names.remove(Path::new("a")).expect("it is there");
                let content = files.contents.remove(&file).expect("it is there");
                journal.delete(Path::new("a"), content);
                if is_synced {
                    journal.sync_directory();
                }
            });
            assert_eq!(states.contains(&Some(b"x".to_vec())), !is_synced);
            assert!(states.contains(&None));
        }
    }

    #[test]
    fn names_change_in_their_order() {
        let states = found(|journal, files| {
            durable(journal, files, b"old");
            let file = files.names.remove(Path::new("a")).expect("it is there");
            let content = files.contents.remove(&file).expect("it is there");
            journal.delete(Path::new("a"), content);
            let file = journal.create(Path::new("a"));
            files.names.insert("a".into(), file);
            files.contents.insert(file, Vec::new());
            write(journal, files, file, 0, b"new");
            journal.sync(file);
        });
        assert_eq!(states, BTreeSet::from([None, Some(b"old".to_vec()), Some(b"new".to_vec())]));
    }
}
