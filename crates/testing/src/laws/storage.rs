//! The laws of [`Storage`] and [`Append`].

use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;

use lastline_appender::{Append, Storage};

/// Runs every law on empty storages that `make` makes.
pub fn all<S: Storage>(mut make: impl FnMut() -> S) {
    makes_fresh_files(&make());
    keeps_a_handle_s_file(&make());
    replaces_nothing(&make());
    shows_what_was_appended(&make());
    takes_exactly_what_it_says(&make());
}

/// Law 1 of `Storage`: a new file is empty, and a name that is taken is not used.
pub fn makes_fresh_files(storage: &impl Storage) {
    put(&*make(storage, "a"), b"old");
    let again = storage.create("a").map(drop).expect_err("law 1: a name was used twice");
    assert_eq!(again.kind(), ErrorKind::AlreadyExists, "law 1: another error");
    assert_eq!(read(&*make(storage, "b")), b"", "law 1: a new file is not empty");
    storage.open("c").map(drop).expect_err("law 1: opened what is not there");
}

/// Law 2 of `Storage`: a handle means the same file under a new name, and under none.
pub fn keeps_a_handle_s_file(storage: &impl Storage) {
    let file = make(storage, "a");
    put(&*file, b"one");
    storage.rename("a", "b").expect("a file can be renamed");
    put(&*file, b"two");
    put(&*make(storage, "a"), b"other");
    assert_eq!(read(&*file), b"onetwo", "law 2: renamed, and another file");
    let known = file.attributes().expect("an open file has attributes").file;
    let of = |name| storage.file_of(name).expect("a name that is there can be looked up");
    if let (Some(known), Some(a), Some(b)) = (known, of("a"), of("b")) {
        assert_eq!((known == a, known == b), (false, true), "law 2: its name is another file's");
        storage.file_of("c").expect_err("law 2: nothing has this name");
    }
    if storage.remove("b").is_ok() {
        put(&*file, b"three");
        assert_eq!(read(&*file), b"onetwothree", "law 2: removed, and another file");
        let attributes = file.attributes().expect("an open file has attributes");
        // A storage that knows nothing of its files does not know this either.
        let knows = attributes.bytes.is_some();
        assert!(attributes.removed || !knows, "law 2: removed, and does not say so");
    }
}

/// Law 3 of `Storage`: renaming replaces nothing.
pub fn replaces_nothing(storage: &impl Storage) {
    put(&*make(storage, "a"), b"one");
    put(&*make(storage, "b"), b"two");
    storage.rename("a", "b").expect_err("law 3: renamed over a file");
    for (name, expected) in [("a", b"one"), ("b", b"two")] {
        let file = storage.open(name).expect("law 3: a file is gone");
        assert_eq!(read(&*file), expected, "law 3: {name} changed");
    }
}

/// Law 4 of `Storage` and 2 of `Append`: every handle reads what was appended, at once.
pub fn shows_what_was_appended(storage: &impl Storage) {
    let file = make(storage, "a");
    let Ok(other) = storage.open("a") else { return };
    let mut all = Vec::new();
    for piece in [&b"a\0b"[..], b"\xff\n", &[7; 100_000]] {
        put(&*file, piece);
        all.extend_from_slice(piece);
        assert_eq!(read(&*file), all, "law 2: not readable from its own handle");
        assert_eq!(read(&*other), all, "law 4: not readable from another handle");
    }
    let mut buffer = [0; 3];
    let read = file.read_at(1, &mut buffer).expect("a file can be read");
    assert!(read > 0, "law 2: nothing, and not at the end");
    assert_eq!(&buffer[..read], &b"\0b\xff"[..read], "law 2: from the middle");
    assert_eq!(file.read_at(all.len() as u64, &mut buffer).ok(), Some(0), "law 2: the end");
    if let Some(bytes) = file.attributes().expect("an open file has attributes").bytes {
        assert_eq!(bytes, all.len() as u64, "law 2: another length");
    }
}

/// Law 1 of `Append`: what it says it took is what is there, from several pieces as well.
pub fn takes_exactly_what_it_says(storage: &impl Storage) {
    let file = make(storage, "a");
    let pieces = [&b"one"[..], b"", b"two", b"three"];
    let slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let taken = file.append_vectored(&slices).expect("there is room");
    assert!(taken > 0, "law 1: took nothing");
    assert_eq!(read(&*file), &pieces.concat()[..taken], "law 1: vectored");
    file.sync().expect("a file can be synced");
}

fn make(storage: &impl Storage, name: &str) -> Arc<dyn Append> {
    storage.create(name).expect("a file can be made")
}

fn put(file: &dyn Append, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let taken = file.append(bytes).expect("there is room");
        assert!(taken > 0, "law 1: took nothing");
        bytes = &bytes[taken..];
    }
}

fn read(file: &dyn Append) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match file.read_at(all.len() as u64, &mut buffer).expect("a file can be read") {
            0 => return all,
            bytes => all.extend_from_slice(&buffer[..bytes]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use crate::storage::MemoryStorage;

    use super::*;

    /// Takes and gives one byte at a time, and knows nothing of its files.
    struct Short<T>(T);

    impl Storage for Short<MemoryStorage> {
        fn create(&self, name: &str) -> io::Result<Arc<dyn Append>> {
            Ok(Arc::new(Short(self.0.create(name)?)))
        }
        fn open(&self, name: &str) -> io::Result<Arc<dyn Append>> {
            Ok(Arc::new(Short(self.0.open(name)?)))
        }
        fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            self.0.rename(from, to)
        }
        fn remove(&self, name: &str) -> io::Result<()> {
            self.0.remove(name)
        }
    }

    impl Append for Short<Arc<dyn Append>> {
        fn append(&self, bytes: &[u8]) -> io::Result<usize> {
            self.0.append(&bytes[..bytes.len().min(1000)])
        }
        fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
            let most = buffer.len().min(1000).min(buffer.len().div_ceil(2));
            self.0.read_at(position, &mut buffer[..most])
        }
        fn sync(&self) -> io::Result<()> {
            self.0.sync()
        }
    }

    #[test]
    fn a_storage_of_small_steps_keeps_the_laws() {
        all(|| Short(MemoryStorage::new()));
    }
}
