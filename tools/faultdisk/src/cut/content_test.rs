use std::fs;

use super::*;

/// A file as the program left it, and the log of its changes.
struct Case {
    folder: tempfile::TempDir,
    records: Vec<FileRecord>,
}

impl Case {
    fn new(durable: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("file"), durable).expect("written");
        Self { folder, records: Vec::new() }
    }

    fn read(&self) -> Vec<u8> {
        fs::read(self.folder.path().join("file")).expect("read")
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let mut content = self.read();
        let before = content
            .get(offset..(offset + bytes.len()).min(content.len()))
            .unwrap_or_default()
            .to_vec();
        let file_length = content.len() as u64;
        self.records.push(FileRecord::Write {
            offset: offset as u64,
            length: bytes.len() as u64,
            file_length,
            before,
        });
        content.resize(content.len().max(offset + bytes.len()), 0);
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
        fs::write(self.folder.path().join("file"), content).expect("written");
    }

    fn resize(&mut self, length: usize) {
        let mut content = self.read();
        let before = content.get(length..).unwrap_or_default().to_vec();
        self.records.push(FileRecord::Resize {
            length: length as u64,
            file_length: content.len() as u64,
            before,
        });
        content.resize(length, 0);
        fs::write(self.folder.path().join("file"), content).expect("written");
    }

    fn cut(&self, chance: Option<&mut Chance>) -> Option<FileCut> {
        set_back(&self.folder.path().join("file"), "file", self.records.clone(), chance)
            .expect("cut")
    }
}

#[test]
fn without_chance_the_synced_is_left_and_nothing_else() {
    let mut case = Case::new(b"durable");
    case.write(7, b" and more");
    case.records.push(FileRecord::Synced);
    case.write(0, b"OVER");
    case.write(14, &[b'x'; 600]);
    case.resize(3);
    case.write(1, b"zzzzz");
    let cut = case.cut(None).expect("something was pending");
    assert_eq!(case.read(), b"durable and more");
    assert_eq!(cut.changes, Count { kept: 0, torn: 0, dropped: 4 });
}

#[test]
fn changes_lost_by_a_failed_sync_stay_lost() {
    let mut case = Case::new(b"aaaa");
    case.write(0, b"bb");
    case.records.push(FileRecord::Lost);
    case.write(1, b"cc");
    case.records.push(FileRecord::Synced);
    for seed in 0..20 {
        let cut = case.cut(Some(&mut Chance::new(seed))).expect("something was lost");
        assert_eq!(case.read(), b"acca");
        assert_eq!((cut.lost_before, cut.changes.total()), (1, 0));
        fs::write(case.folder.path().join("file"), b"bcca").expect("as the program left it");
    }
}

#[test]
fn a_synced_file_is_not_touched() {
    let mut case = Case::new(b"");
    case.write(0, b"bytes");
    case.records.push(FileRecord::Synced);
    assert_eq!(case.cut(None), None);
    assert_eq!(case.read(), b"bytes");
}

#[test]
fn chance_reaches_every_outcome_and_is_repeatable() {
    let mut seen = Count::default();
    let mut outcomes = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let run = || {
            let mut case = Case::new(&[b'.'; 700]);
            case.write(300, &[b'a'; 2000]);
            case.write(0, &[b'b'; 1400]);
            case.write(2300, &[b'c'; 1000]);
            let cut = case.cut(Some(&mut Chance::new(seed))).expect("pending");
            (case.read(), cut.changes)
        };
        let (content, changes) = run();
        assert_eq!((content.clone(), changes), run(), "a seed decides everything");
        assert_eq!(changes.total(), 3);
        for (index, byte) in content.iter().enumerate() {
            let durable = index < 700 && *byte == b'.';
            let zero = index >= 700 && *byte == 0;
            let written = match byte {
                b'a' => (300..2300).contains(&index),
                b'b' => index < 1400,
                b'c' => (2300..3300).contains(&index),
                _ => false,
            };
            assert!(durable || zero || written, "seed {seed}: byte {byte} at {index}");
            let changes_here = index > 0 && content[index - 1] != *byte;
            let ends = [300, 700, 1400, 2300];
            assert!(
                !changes_here || index % 512 == 0 || ends.contains(&index),
                "seed {seed}: torn within a sector at {index}"
            );
        }
        seen += changes;
        outcomes.insert(content);
    }
    assert!(seen.kept > 0 && seen.torn > 0 && seen.dropped > 0, "{seen}");
    assert!(outcomes.len() > 20, "{} outcomes", outcomes.len());
}
