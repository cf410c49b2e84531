//! Executes the commands on its standard input, line by line, and answers each: `ok`, the bytes
//! read, or `error` and its number. For the tests: it does not know that it may be on a faulty
//! disk.
//!
//! ```text
//! write FILE OFFSET LETTER COUNT    append FILE LETTER COUNT    resize FILE LENGTH
//! open-append FILE    empty FILE    read FILE    sync PATH    rename FROM TO
//! remove FILE    mkdir FOLDER    rmdir FOLDER    link FROM TO
//! ```

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Read, Write};
use std::os::unix::fs::FileExt;

fn main() -> io::Result<()> {
    let mut open = HashMap::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match act(&words, &mut open) {
            Ok(answer) => answer,
            Err(error) => error
                .raw_os_error()
                .map_or(format!("error {error}"), |number| format!("error {number}")),
        };
        writeln!(io::stdout(), "{answer}")?;
    }
    Ok(())
}

/// Executes one command. Files stay open, so that a sync uses the descriptor that wrote.
fn act(words: &[&str], open: &mut HashMap<String, File>) -> io::Result<String> {
    let number = |word: &str| word.parse::<u64>().map_err(io::Error::other);
    let letters = |letter: &str, count: &str| -> io::Result<Vec<u8>> {
        Ok(letter.repeat(usize::try_from(number(count)?).map_err(io::Error::other)?).into_bytes())
    };
    match *words {
        ["write", path, offset, letter, count] => {
            file(open, path)?.write_all_at(&letters(letter, count)?, number(offset)?)?
        }
        ["append", path, letter, count] => {
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)?
                .write_all(&letters(letter, count)?)?;
        }
        // The descriptor of further commands about the file.
        ["open-append", path] => {
            let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            open.insert(path.to_owned(), file);
        }
        ["resize", path, length] => file(open, path)?.set_len(number(length)?)?,
        ["empty", path] => drop(File::create(path)?),
        ["read", path] => {
            let mut text = String::new();
            File::open(path)?.read_to_string(&mut text)?;
            return Ok(text);
        }
        ["sync", path] => match open.get(path) {
            Some(file) => file.sync_all()?,
            None => File::open(path)?.sync_all()?,
        },
        ["rename", from, to] => fs::rename(from, to)?,
        ["remove", path] => fs::remove_file(path)?,
        ["mkdir", path] => fs::create_dir(path)?,
        ["rmdir", path] => fs::remove_dir(path)?,
        ["link", from, to] => fs::hard_link(from, to)?,
        _ => return Err(io::Error::other("no such line")),
    }
    Ok("ok".to_owned())
}

fn file<'a>(open: &'a mut HashMap<String, File>, path: &str) -> io::Result<&'a File> {
    if !open.contains_key(path) {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        open.insert(path.to_owned(), file);
    }
    Ok(&open[path])
}
