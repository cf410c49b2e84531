//! Compares hashed rolls with a small model: rows as a writer writes them, in every form that CSV
//! allows, cut at any byte.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::credential::{Credential, CredentialHasher, RegistryKey};

/// A row and its written form.
#[derive(Debug, Clone)]
struct Written {
    /// `None` for a NAS that is too short.
    nas: Option<u8>,
    code: &'static str,
    law: &'static str,
    note: String,
    quoted: [bool; 4],
    end: &'static str,
}

const BAD_NAS: &str = "12345678";

impl Written {
    fn nas(&self) -> String {
        self.nas
            .map_or_else(|| BAD_NAS.to_owned(), |nas| format!("{:09}", u32::from(nas) * 30_000_001))
    }

    fn text(&self, with_note: bool, separator: Separator) -> String {
        let fields = [self.nas(), self.code.to_owned(), self.law.to_owned(), self.note.clone()];
        let columns = if with_note { 4 } else { 3 };
        let separator = char::from(separator.byte());
        let quote = |(field, quoted): (&String, &bool)| {
            if *quoted || field.contains([separator, '"', '\n', '\r']) {
                format!("\"{}\"", field.replace('"', "\"\""))
            } else {
                field.clone()
            }
        };
        let written: Vec<String> =
            fields.iter().zip(&self.quoted).map(quote).take(columns).collect();
        // The note comes first, so its quotation marks and line breaks precede the required fields.
        let (first, rest) =
            if with_note { (&written[3..], &written[..3]) } else { (&written[..0], &written[..3]) };
        [first, rest].concat().join(&separator.to_string()) + self.end
    }
}

fn rows() -> impl Strategy<Value = Vec<Written>> {
    let row = (
        prop::option::weighted(0.9, 0_u8..30),
        prop::sample::select(vec![
            "ABCD1234",
            "abcd1234",
            "XYZ1",
            "0123456789ABCDEFGHIJKLMNOPQRSTUV",
        ]),
        prop::sample::select(vec![
            "L1",
            "L2",
            "A.law-with_a.very-long_id.that-is_longer.than-most",
        ]),
        "[a-zé,;\"\n\r]{0,6}",
        any::<[bool; 4]>(),
        prop::sample::select(vec!["\n", "\r\n", "\n\n", "\r\n\r\n"]),
    );
    let written = row.prop_map(|(nas, code, law, note, quoted, end)| Written {
        nas,
        code,
        law,
        note,
        quoted,
        end,
    });
    prop::collection::vec(written, 0..24)
}

fn separators() -> impl Strategy<Value = Separator> {
    prop::sample::select(vec![Separator::Comma, Separator::Semicolon])
}

/// The text with `é` as its single ISO 8859-1 byte.
fn in_latin_1(text: &str) -> Vec<u8> {
    text.chars()
        .flat_map(|character| match character {
            'é' => vec![0xe9],
            other => other.to_string().into_bytes(),
        })
        .collect()
}

/// The expected result: keys by law, lines of bad rows and duplicates, lines of conflicts.
#[derive(Debug, PartialEq, Default)]
struct Outcome {
    laws: BTreeMap<String, BTreeSet<RegistryKey>>,
    faults: BTreeSet<u64>,
    conflicts: BTreeSet<u64>,
}

fn expected(
    header: &str,
    rows: &[Written],
    with_note: bool,
    separator: Separator,
) -> (String, Outcome) {
    let mut text = header.replace(',', &char::from(separator.byte()).to_string());
    let mut outcome = Outcome::default();
    let mut first: BTreeMap<(&str, u8), String> = BTreeMap::new();
    for row in rows {
        let line = 1 + text.matches('\n').count() as u64;
        text += &row.text(with_note, separator);
        let Some(nas) = row.nas else {
            outcome.faults.insert(line);
            continue;
        };
        let code = row.code.to_uppercase();
        match first.get(&(row.law, nas)) {
            Some(known) if *known == code => drop(outcome.faults.insert(line)),
            Some(_) => drop(outcome.conflicts.insert(line)),
            None => drop(first.insert((row.law, nas), code)),
        }
        let credential =
            Credential::parse(row.nas().as_bytes(), row.code.as_bytes(), row.law.as_bytes())
                .expect("good");
        let hasher = CredentialHasher::plain();
        let key = hasher.registry_key(&credential.nas, &credential.code, &credential.law_id);
        outcome.laws.entry(row.law.to_owned()).or_default().insert(key);
    }
    (text, outcome)
}

fn found(text: &[u8], chunk_size: usize, late: usize) -> Outcome {
    let mut chunks = RollChunks::with_chunk_size(text, chunk_size).expect("a good header");
    let hasher = RollHasher::new(*chunks.header(), RollRules::default(), CredentialHasher::plain());
    let mut hashes = RollHashes::new(&hasher);
    let mut scratch = HashScratch::default();
    let mut held = Vec::new();
    while let Some(chunk) = chunks.next_cut().expect("short rows") {
        held.push(hasher.hash(chunk, &mut scratch));
        if held.len() > late {
            hashes.add(held.pop().expect("it holds more")).expect("short rows");
        }
    }
    held.into_iter().rev().for_each(|chunk| hashes.add(chunk).expect("short rows"));
    let roll = hashes.end().expect("short rows").finish(&Sequential);
    for law in &roll.laws {
        let keys = law.to_vec();
        assert!(keys.is_sorted() && keys.len() == law.count(), "{law:?}");
    }
    Outcome {
        laws: roll
            .laws
            .iter()
            .map(|law| (law.law_id().to_string(), law.to_vec().into_iter().collect()))
            .collect(),
        faults: roll.faults.iter().map(|fault| fault.line).collect(),
        conflicts: roll.conflicts.iter().map(|conflict| conflict.line).collect(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_csv_form_parses_to_the_written_values(
        rows in rows(), with_note in any::<bool>(), mark in any::<bool>(), latin in any::<bool>(),
        chunk_size in 4_usize..120, late in 0_usize..4, separator in separators(),
    ) {
        let header = if with_note { "note,nas,code,law_id\r\n" } else { "nas,code,law_id\n" };
        let header = if mark && !latin { format!("\u{feff}{header}") } else { header.to_owned() };
        let (text, expected) = expected(&header, &rows, with_note, separator);
        // Notes may have a different encoding.
        let text = if latin { in_latin_1(&text) } else { text.into_bytes() };
        // The csv crate must read the same number of records.
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator.byte())
            .flexible(true)
            .from_reader(text.as_slice());
        let records: Vec<_> = reader.byte_records().map(|record| record.expect("in memory")).collect();
        prop_assert_eq!(records.len(), rows.len());
        prop_assert_eq!(&found(&text, chunk_size, late), &expected);
        prop_assert_eq!(&found(&text, 1 << 20, 0), &expected);
        // The row reader must agree.
        let mut credentials = Vec::new();
        let faults = read_table(text.as_slice(), Table::Roll, &RollRules::default(), |row| {
            let fields = [row.nas.as_bytes(), row.code.as_bytes(), row.law_id.as_bytes()];
            credentials.push((row.number, fields.concat()));
        });
        let first = usize::from(with_note);
        let good = (1..).zip(&records).filter(|(_, record)| record[first].len() == 9);
        let good: Vec<(u64, Vec<u8>)> = good
            .map(|(number, record)| {
                let code = record[first + 1].to_ascii_uppercase();
                (number, [&record[first], &code, &record[first + 2]].concat())
            })
            .collect();
        prop_assert_eq!(faults.expect("a good header").len(), rows.len() - good.len());
        prop_assert_eq!(credentials, good);
    }

    /// Inserts stray quotation marks and carriage returns anywhere in the file. Each row is either
    /// read or reported as a fault, or a reported fault says that more than that row may be lost.
    #[test]
    fn no_row_is_lost_without_a_word(
        note_place in 0_usize..4, notes in prop::collection::vec("[a-z]{0,3}", 1..8),
        strays in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(vec![b'"', b'\r'])), 1..3),
    ) {
        let row = |note: &str, columns: [&str; 3]| {
            let mut fields = columns.to_vec();
            fields.insert(note_place, note);
            fields.join(",") + "\n"
        };
        let mut text = row("note", ["nas", "code", "law_id"]);
        for (number, note) in notes.iter().enumerate() {
            text += &row(note, [&format!("12345678{number}"), "ABCD1234", "L1"]);
        }
        let text = text.into_bytes();
        let mut bytes = text.clone();
        for (place, stray) in &strays {
            bytes.insert(place.index(bytes.len() + 1), *stray);
        }
        // Both strays after the last row make one more record, a blank one.
        let records = notes.len() + usize::from(strays.len() == 2 && bytes.starts_with(&text));
        let mut good = 0;
        if let Ok(faults) =
            read_table(bytes.as_slice(), Table::Roll, &RollRules::default(), |_| good += 1)
        {
            let loses_position = faults.iter().any(|fault| fault.rule.loses_position());
            prop_assert!(
                loses_position || good + faults.len() == records,
                "{} {good} {faults:?}", String::from_utf8_lossy(&bytes)
            );
        }
    }

    /// Chunks of whole records, as readers that process a roll in order get them.
    #[test]
    fn chunks_of_whole_records_hold_the_same_rows(
        rows in rows(), chunk_size in 4_usize..120, separator in separators(),
    ) {
        let (text, _) = expected("note,nas,code,law_id\n", &rows, true, separator);
        let mut chunks = RollChunks::with_chunk_size(text.as_bytes(), chunk_size).expect("a good header");
        let mut lines = Vec::new();
        while let Some(chunk) = chunks.next_chunk().expect("short rows") {
            let mut rows = Rows::new(chunk.bytes(), chunk.line(), chunks.header().separator());
            while let Some(row) = rows.next_row(chunks.header()) {
                prop_assert!(row.fields(chunks.header(), false).is_ok());
                lines.push(row.line);
            }
        }
        let mut whole = Rows::new(text.as_bytes(), 1, separator);
        let next_line = || whole.next_row(chunks.header()).map(|row| row.line);
        let expected: Vec<u64> = std::iter::from_fn(next_line).collect();
        prop_assert_eq!(lines, &expected[1..]);
    }
}

#[test]
fn ranks_of_a_large_law_are_parts_of_all_its_keys() {
    let mut roll = String::from("nas,code,law_id\n");
    for nas in 0..60_000 {
        roll += &format!("{nas:09},ABCD1234,L1\n");
    }
    // Repetitions of the first rows, which must be handed out once.
    for nas in 0..500 {
        roll += &format!("{nas:09},ABCD1234,L1\n");
    }
    let mut chunks = RollChunks::with_chunk_size(roll.as_bytes(), 1 << 14).expect("a good header");
    let hasher = RollHasher::new(*chunks.header(), RollRules::default(), CredentialHasher::plain());
    let mut hashes = RollHashes::new(&hasher);
    while let Some(chunk) = chunks.next_cut().expect("short rows") {
        hashes.add(hasher.hash(chunk, &mut HashScratch::default())).expect("short rows");
    }
    let roll = hashes.end().expect("short rows").finish(&Sequential);
    let (law, duplicates) = (&roll.laws[0], roll.duplicates);
    let all = law.to_vec();
    assert_eq!((law.count(), all.len(), duplicates), (60_000, 60_000, 500));
    assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
    let expected: BTreeSet<_> = (0..60_000_u32)
        .map(|nas| {
            Credential::parse(format!("{nas:09}").as_bytes(), b"ABCD1234", b"L1").expect("good")
        })
        .map(|credential| {
            CredentialHasher::plain().registry_key(
                &credential.nas,
                &credential.code,
                &credential.law_id,
            )
        })
        .collect();
    assert!(all.iter().eq(&expected));
    for (start, end) in [
        (0, 1),
        (1, 7),
        (0, 60_000),
        (7_000, 14_000),
        (59_999, 60_000),
        (30_000, 30_000),
        (59_000, 70_000),
    ] {
        let mut keys = law.ranks(start..end);
        let mut taken = Vec::new();
        while let Some(keys) = keys.next_keys(999) {
            assert!(!keys.is_empty() && keys.len() <= 999);
            taken.extend_from_slice(keys);
        }
        assert_eq!(taken, all[start..end.min(60_000)], "{start}..{end}");
    }
}
