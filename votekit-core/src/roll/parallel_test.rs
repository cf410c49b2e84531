use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::credential::{Pepper, RegistryKey};
use crate::manifest::Manifest;
use crate::roll::{HashedRoll, Sequential};
use crate::shard::{ShardFormat, ShardHead};

fn threads(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("at least one")
}

/// The roll, gathered on several threads.
fn parallel(text: &[u8], chunk_size: usize, count: usize) -> Result<HashedRoll, RollError> {
    let chunks = RollChunks::with_chunk_size(text, chunk_size)?;
    let hasher = CredentialHasher::plain();
    let file = gather(chunks, &RollRules::default(), &hasher, threads(count), |_| {})?;
    assert_eq!(file.sha256, Digest::compute(text));
    Ok(file.rows.finish(&ScopedThreads(threads(count))))
}

/// The roll, gathered in order on the calling thread, in chunks of whole records.
fn sequential(text: &[u8]) -> HashedRoll {
    let mut chunks = RollChunks::open(text).expect("a good header");
    let hasher = RollHasher::new(*chunks.header(), RollRules::default(), CredentialHasher::plain());
    let mut hashes = RollHashes::new(&hasher);
    while let Some(chunk) = chunks.next_chunk().expect("short rows") {
        hashes.add(hasher.hash(chunk, &mut HashScratch::default())).expect("short rows");
    }
    hashes.end().expect("short rows").finish(&Sequential)
}

/// The keys of each law.
fn keys(roll: &HashedRoll) -> BTreeMap<String, Vec<RegistryKey>> {
    roll.laws.iter().map(|law| (law.law_id().to_string(), law.to_vec())).collect()
}

/// A roll with good rows, bad ones, repeated ones, and notes in which records seem to end.
fn rolls() -> impl Strategy<Value = String> {
    let row =
        (0_u32..60, 0_u8..3, 0_u8..3, "[a-z,\"\n]{0,8}").prop_map(|(nas, code, law, note)| {
            let nas = if nas == 0 { "12345".to_owned() } else { format!("{nas:09}") };
            format!("\"{}\",{nas},CODE{code},L{law}\n", note.replace('"', "\"\""))
        });
    prop::collection::vec(row, 0..80)
        .prop_map(|rows| format!("note,nas,code,law_id\n{}", rows.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn threads_and_chunks_change_nothing_in_a_hashed_roll(
        roll in rolls(), chunk_size in 4_usize..400, count in 1_usize..6,
    ) {
        let found = parallel(roll.as_bytes(), chunk_size, count).expect("short rows");
        let expected = sequential(roll.as_bytes());
        prop_assert_eq!(keys(&found), keys(&expected));
        prop_assert_eq!(&found.faults, &expected.faults);
        prop_assert_eq!(&found.conflicts, &expected.conflicts);
        prop_assert_eq!((found.rows, found.duplicates), (expected.rows, expected.duplicates));
        prop_assert_eq!(found.code_lengths, expected.code_lengths);
    }

    /// All but the digest of the file, which is the file's own.
    #[test]
    fn semicolons_give_the_shards_and_the_manifest_of_commas(
        rows in prop::collection::vec(("[A-Z0-9]{4,12}", 0_u8..3, any::<[bool; 3]>()), 1..80),
        shard_size in 1_usize..40, binary in any::<bool>(),
    ) {
        let roll = |separator: &str| {
            let mut roll = ["nas", "code", "law_id"].join(separator) + "\n";
            for (number, (code, law, quoted)) in rows.iter().enumerate() {
                let fields = [format!("{number:09}"), code.clone(), format!("L{law}")];
                let quote = |(field, quoted): (&String, &bool)| {
                    if *quoted { format!("\"{field}\"") } else { field.clone() }
                };
                let written: Vec<String> = fields.iter().zip(quoted).map(quote).collect();
                roll += &(written.join(separator) + "\r\n");
            }
            roll
        };
        let options = HashOptions {
            shard_size,
            format: if binary { ShardFormat::Binary } else { ShardFormat::Json },
            ..HashOptions::default()
        };
        let (commas, semicolons) = (roll(","), roll(";"));
        let expected = hash_roll(commas.as_bytes(), &options).expect("good rows");
        let found = hash_roll(semicolons.as_bytes(), &options).expect("good rows");
        prop_assert_eq!(&found.shards, &expected.shards);
        let mut body = found.manifest.body().clone();
        prop_assert_eq!(body.roll.sha256, Digest::compute(semicolons.as_bytes()));
        body.roll.sha256 = Digest::compute(commas.as_bytes());
        prop_assert_eq!(&body, expected.manifest.body());
    }

    #[test]
    fn threads_change_no_byte_of_shards_and_manifest(
        electors in 1_u32..200, shard_size in 1_usize..90, count in 2_usize..6,
        binary in any::<bool>(),
    ) {
        let mut roll = String::from("nas,code,law_id\n");
        for elector in 0..electors {
            roll += &format!("{elector:09},CODE{elector},L{}\n", elector % 3);
        }
        let pepper = Pepper::from_bytes([3; 32]);
        let options = |count| HashOptions {
            pepper: Some(&pepper),
            shard_size,
            format: if binary { ShardFormat::Binary } else { ShardFormat::Json },
            threads: threads(count),
            ..HashOptions::default()
        };
        let one = hash_roll(roll.as_bytes(), &options(1)).expect("good rows");
        let many = hash_roll(roll.as_bytes(), &options(count)).expect("good rows");
        prop_assert_eq!(&one, &many);

        let body = many.manifest.body();
        prop_assert_eq!(Manifest::parse(&many.manifest.encode()), Ok(many.manifest.clone()));
        prop_assert_eq!(body.shards.len(), many.shards.len());
        let mut keys = 0;
        for (row, shard) in body.shards.iter().zip(&many.shards) {
            prop_assert_eq!(&row.file, &shard.name);
            let read = many.manifest.read_shard(row, &shard.bytes).expect("as listed");
            prop_assert!(read.len() <= shard_size);
            keys += read.len();
        }
        prop_assert_eq!(keys as u32, electors);
    }
}

#[test]
fn progress_ends_with_all_bytes_of_rows() {
    let roll = format!("nas,code,law_id\n{}", "123456789,ABC123,L1\n".repeat(100));
    let chunks = RollChunks::with_chunk_size(roll.as_bytes(), 64).expect("a good header");
    let mut reported = Vec::new();
    let hasher = CredentialHasher::plain();
    gather(chunks, &RollRules::default(), &hasher, threads(2), |bytes| reported.push(bytes))
        .expect("short rows");
    assert!(reported.is_sorted() && reported.len() > 10, "{reported:?}");
    assert_eq!(reported.last(), Some(&2000));
}

#[test]
fn bad_rows_conflicts_and_missing_laws_give_no_shards() {
    let hash = |rows: &str, options: &HashOptions<'_>| {
        hash_roll(format!("nas,code,law_id\n{rows}").as_bytes(), options)
    };
    let all = HashOptions::default();
    let good = "123456789,ABC123,L1\n";
    assert!(hash(good, &all).is_ok());
    let found = hash(&format!("{good}12345678,ABC123,L1\n{good}"), &all);
    let Err(HashRollError::Faults { faults }) = &found else { panic!("{found:?}") };
    assert_eq!(faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [3, 4]);
    let found = hash(&format!("{good}123456789,ABC124,L1\n"), &all);
    let Err(HashRollError::Conflicts { conflicts }) = &found else { panic!("{found:?}") };
    assert_eq!((conflicts[0].first_line, conflicts[0].line), (2, 3));
    assert!(matches!(hash("", &all), Err(HashRollError::NoRow)));
    let mut one = HashOptions::default();
    one.rules.laws.insert("L2".parse().expect("a law id"));
    assert!(matches!(hash(good, &one), Err(HashRollError::LawWithoutRow { .. })));
    for shard_size in [0, ShardHead::KEYS_MAX + 1] {
        let options = HashOptions { shard_size, ..HashOptions::default() };
        assert!(matches!(hash(good, &options), Err(HashRollError::Plan(_))), "{shard_size}");
    }
    let options = HashOptions { date: Some("tomorrow".to_owned()), ..HashOptions::default() };
    assert!(matches!(hash(good, &options), Err(HashRollError::Manifest(_))));
}

/// Ends with an error after the first bytes.
struct Broken(&'static [u8]);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Err(io::ErrorKind::TimedOut.into()),
            count => Ok(count),
        }
    }
}

#[test]
fn a_reader_that_fails_ends_the_call() {
    let broken = Broken(b"nas,code,law_id\n123456789,ABC123,L1\n");
    let chunks = RollChunks::with_chunk_size(broken, 8).expect("a good header");
    let hasher = CredentialHasher::plain();
    let found = gather(chunks, &RollRules::default(), &hasher, threads(3), |_| {});
    assert!(matches!(found, Err(RollError::Read(_))), "{found:?}");
}

#[test]
fn a_panicking_worker_stops_reader_and_workers() {
    let hasher = RollHasher::new(
        *RollChunks::open(&b"nas,code,law_id\n"[..]).expect("a good header").header(),
        RollRules::default(),
        CredentialHasher::plain(),
    );
    let gathering = Gathering::new(&hasher, 1);
    let (sender, receiver) = sync_channel(1);
    let queue = ChunkQueue(Mutex::new(Some(receiver)));
    let worker = Worker { queue: &queue, hasher: &hasher, gathering: &gathering };
    let panicked = thread::scope(|scope| {
        let work = move || {
            let _guard = PanicGuard(worker);
            panic!("expected by this test");
        };
        scope.spawn(work).join().is_err()
    });
    assert!(panicked && queue.next().is_none());
    let mut roll = RollChunks::open(&b"nas,code,law_id\n123456789,ABC123,L1\n"[..]).expect("good");
    let chunk = roll.next_cut().expect("in memory").expect("one row");
    assert!(sender.send(chunk).is_err(), "the reader stops");
}

#[test]
fn scoped_threads_do_each_piece_once() {
    for (count, pieces) in [(1, 0), (1, 7), (4, 0), (4, 1), (4, 1000)] {
        let done = Mutex::new(Vec::new());
        ScopedThreads(threads(count)).each(pieces, &|piece| {
            done.lock().expect("no panic").push(piece);
        });
        let mut done = done.into_inner().expect("no panic");
        done.sort_unstable();
        assert_eq!(done, (0..pieces).collect::<Vec<_>>());
    }
}
