//! The module graph of each crate: which modules use which, circles among them, and size.
//!
//! A module is a file or a folder below `src`. Two modules are siblings when they are in the same
//! folder. An arrow from one sibling to another means that a path in its files begins with
//! `crate::…` or `super::…` and leads into the other. Arrows between a module and its own parent do
//! not count as a circle: a parent declares its children, and they share its types.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;

use crate::project;

/// Print the modules of each crate: files, lines, arrows, circles.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only this crate, by its folder.
    #[arg(long = "crate", value_name = "FOLDER")]
    one: Option<String>,
    /// Print each arrow.
    #[arg(long)]
    arrows: bool,
    /// Another checkout of the project, to compare with.
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
}

/// The arrows that lead to a module that is declared later, each with its crate: here the order of
/// the flow differs from that of the dependencies.
const UPWARD: [(&str, &str, &str); 2] = [
    // A manifest is signed as a note, and the log is of votes, which come after the roll.
    ("votekit-core", "manifest", "log"),
    // A node that has both roles validates its own batches before it stages them.
    ("votekit-node", "ingest", "validate"),
];

/// The module graph of one crate.
struct CrateGraph {
    folder: String,
    files: Vec<SourceFile>,
    /// From sibling to sibling, by their full paths.
    arrows: BTreeSet<(String, String)>,
    circles: Vec<Vec<String>>,
    /// The position at which its parent declares each module.
    order: BTreeMap<String, usize>,
}

/// A source file that is not a test.
struct SourceFile {
    module: Vec<String>,
    lines: usize,
    code: usize,
    comments: usize,
    text: String,
}

/// Prints the module graph of each crate. Circles are not an error here: [`check`] refuses them.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = arguments.root.as_deref().unwrap_or(project::root());
    for folder in project::crate_folders(root)? {
        if arguments.one.as_ref().is_some_and(|one| *one != folder) {
            continue;
        }
        let graph = CrateGraph::read(root, &folder)?;
        println!("{}", graph.summary());
        for circle in &graph.circles {
            println!("  circle: {}", circle.join(" "));
        }
        if arguments.arrows {
            for (from, to) in &graph.arrows {
                let upward = if graph.is_upward(from, to) { "  (upward)" } else { "" };
                println!("  {from} -> {to}{upward}");
            }
        }
    }
    Ok(())
}

/// Fails when modules of a crate form a circle, or one uses a module that is declared after it.
pub(crate) fn check(root: &Path) -> Result<()> {
    let mut modules = 0;
    let mut faults = Vec::new();
    let mut upward = Vec::new();
    for folder in project::crate_folders(root)? {
        let graph = CrateGraph::read(root, &folder)?;
        modules += graph.files.len();
        faults.extend(graph.circles.iter().map(|circle| format!("{folder}: {}", circle.join(" "))));
        let of_crate = graph.arrows.iter().filter(|(from, to)| graph.is_upward(from, to));
        upward.extend(of_crate.map(|(from, to)| (folder.clone(), from.clone(), to.clone())));
    }
    ensure!(faults.is_empty(), "circles of modules:\n  {}", faults.join("\n  "));
    let is_listed = |(folder, from, to): &(String, String, String)| {
        UPWARD.contains(&(folder.as_str(), from.as_str(), to.as_str()))
    };
    let listed = upward.iter().filter(|arrow| is_listed(arrow)).count();
    upward.retain(|arrow| !is_listed(arrow));
    let lines: Vec<String> =
        upward.iter().map(|(folder, from, to)| format!("{folder}: {from} -> {to}")).collect();
    ensure!(
        lines.is_empty(),
        "modules that use one that their parent declares later (declare that one first, or move \
         what they share):\n  {}",
        lines.join("\n  ")
    );
    let expected = UPWARD.iter().filter(|(folder, ..)| root.join(folder).is_dir()).count();
    ensure!(listed == expected, "an arrow of `UPWARD` in modules.rs does not exist any more");
    println!("{modules} modules, no circle, {listed} arrows to a module that is declared later");
    Ok(())
}

impl CrateGraph {
    fn read(root: &Path, folder: &str) -> Result<Self> {
        let src = root.join(folder).join("src");
        let mut files = Vec::new();
        for file in project::files_below(&src)? {
            let name = file.to_string_lossy();
            if !name.ends_with(".rs") || name.ends_with("_test.rs") {
                continue;
            }
            let text =
                fs::read_to_string(src.join(&file)).with_context(|| format!("reading {name}"))?;
            files.push(SourceFile::new(&name, text));
        }
        let known: BTreeSet<Vec<String>> = files.iter().map(|file| file.module.clone()).collect();
        let mut arrows = BTreeSet::new();
        let mut order = BTreeMap::new();
        for file in &files {
            for (index, child) in declared(&file.text).into_iter().enumerate() {
                let path = file.module.iter().cloned().chain([child]).collect::<Vec<_>>();
                order.insert(path.join("::"), index);
            }
            for target in file.targets(&known) {
                if let Some(arrow) = sibling_arrow(&file.module, &target) {
                    arrows.insert(arrow);
                }
            }
        }
        let circles = circles(&arrows);
        Ok(Self { folder: folder.to_owned(), files, arrows, circles, order })
    }

    /// Whether an arrow leads to a module that its parent declares later.
    fn is_upward(&self, from: &str, to: &str) -> bool {
        match (self.order.get(from), self.order.get(to)) {
            (Some(from), Some(to)) => to > from,
            _ => false,
        }
    }

    fn summary(&self) -> String {
        let mut lines: Vec<usize> = self.files.iter().map(|file| file.lines).collect();
        lines.sort_unstable();
        let sum = |of: fn(&SourceFile) -> usize| self.files.iter().map(of).sum::<usize>();
        let upward = self.arrows.iter().filter(|(from, to)| self.is_upward(from, to)).count();
        format!(
            "{}: {} files, median {} lines, {} under 60; {} lines of code, {} of comments; {} arrows \
             between siblings, {upward} upward, {} circles of {} modules",
            self.folder,
            self.files.len(),
            lines.get(lines.len() / 2).copied().unwrap_or(0),
            lines.iter().filter(|lines| **lines < 60).count(),
            sum(|file| file.code),
            sum(|file| file.comments),
            self.arrows.len(),
            self.circles.len(),
            self.circles.iter().map(Vec::len).sum::<usize>(),
        )
    }
}

impl SourceFile {
    fn new(name: &str, text: String) -> Self {
        let mut module: Vec<String> =
            name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.last().is_some_and(|last| last == "mod")
            || (module.len() == 1 && (module[0] == "lib" || module[0] == "main"))
        {
            module.pop();
        }
        let (mut code, mut comments) = (0, 0);
        for line in text.lines().map(str::trim) {
            if line.starts_with("//") {
                comments += 1;
            } else if !line.is_empty() {
                code += 1;
            }
        }
        let lines = text.lines().count();
        let text = without_comments(without_tests(&text));
        Self { module, lines, code, comments, text }
    }

    /// The modules that paths in this file lead to.
    fn targets(&self, known: &BTreeSet<Vec<String>>) -> BTreeSet<Vec<String>> {
        let mut found = BTreeSet::new();
        for path in paths(&self.text, &self.module) {
            // The longest prefix of the path that is a module.
            for length in (1..=path.len()).rev() {
                if known.contains(&path[..length]) {
                    found.insert(path[..length].to_vec());
                    break;
                }
            }
        }
        found
    }
}

/// Cuts off the tests: they may use every module, which does not count as an arrow.
fn without_tests(text: &str) -> &str {
    let end = text.find("#[cfg(test)]\nmod ").or_else(|| text.find("#[cfg(test)]\n#[path"));
    end.map_or(text, |end| &text[..end])
}

fn without_comments(text: &str) -> String {
    let code = text.lines().map(|line| {
        let comment = line.trim_start().starts_with("//");
        if comment { "" } else { line.split(" // ").next().unwrap_or("") }
    });
    code.collect::<Vec<_>>().join("\n")
}

/// The names of the child modules that a file declares, in order.
fn declared(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| {
        let line = line.trim_start();
        let line =
            line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub(super) ")).unwrap_or(line);
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';').map(str::to_owned)
    });
    names.collect()
}

/// Every path that begins with `crate::` or `super::`, in full; a list in braces yields one path
/// for each of its first names.
fn paths(text: &str, module: &[String]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (start, keyword) in
        ["crate::", "super::"].into_iter().flat_map(|keyword| text.match_indices(keyword))
    {
        let before = text[..start].chars().next_back();
        if before.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == ':') {
            continue;
        }
        let mut rest = &text[start + keyword.len()..];
        let mut path = if keyword == "crate::" {
            Vec::new()
        } else {
            module[..module.len().saturating_sub(1)].to_vec()
        };
        while let Some(after) = rest.strip_prefix("super::") {
            path.pop();
            rest = after;
        }
        expand(rest, &mut path, &mut found);
    }
    found
}

fn expand(rest: &str, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if let Some(list) = rest.strip_prefix('{') {
        let mut depth = 0;
        let mut start = 0;
        for (index, letter) in list.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => {
                    expand(list[start..index].trim(), &mut path.clone(), found);
                    return;
                }
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    expand(list[start..index].trim(), &mut path.clone(), found);
                    start = index + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
    let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
    if name.is_empty() {
        return;
    }
    path.push(name.to_owned());
    match after.strip_prefix("::") {
        Some(after) => expand(after, path, found),
        None => found.push(path.clone()),
    }
}

/// The arrow between the siblings above two modules; `None` when one contains the other.
fn sibling_arrow(from: &[String], to: &[String]) -> Option<(String, String)> {
    let common = from.iter().zip(to).take_while(|(from, to)| from == to).count();
    if common == from.len() || common == to.len() {
        return None;
    }
    Some((from[..=common].join("::"), to[..=common].join("::")))
}

/// The strongly connected components of more than one module, computed directly: two modules are in
/// one circle when each reaches the other.
fn circles(arrows: &BTreeSet<(String, String)>) -> Vec<Vec<String>> {
    let modules: BTreeSet<&String> = arrows.iter().flat_map(|(from, to)| [from, to]).collect();
    let reached: BTreeMap<&String, BTreeSet<&String>> =
        modules.iter().map(|module| (*module, reach(module, arrows))).collect();
    let mut circles = BTreeSet::new();
    for module in &modules {
        let circle: Vec<String> = reached[module]
            .iter()
            .filter(|other| reached[*other].contains(module))
            .map(|other| (*other).clone())
            .collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

fn reach<'a>(from: &String, arrows: &'a BTreeSet<(String, String)>) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&String> =
        arrows.iter().filter(|(source, _)| source == from).map(|(_, to)| to).collect();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(arrows.iter().filter(|(source, _)| source == module).map(|(_, to)| to));
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split("::").map(str::to_owned).collect()
    }

    #[test]
    fn paths_are_found_in_lists_and_in_code() {
        let text = "use crate::{a::B, c::{D, e}};\nfn f() { super::g::h() }\nuse other_crate::x;";
        let found = paths(text, &path("m::n"));
        let expected = ["a::B", "c::D", "c::e", "m::g::h"].map(path);
        assert_eq!(found, expected);
    }

    #[test]
    fn arrows_join_siblings_and_circles_are_found() {
        assert_eq!(sibling_arrow(&path("a::b"), &path("a")), None);
        let arrow = sibling_arrow(&path("a::b::c"), &path("a::d")).expect("siblings");
        assert_eq!(arrow, ("a::b".to_owned(), "a::d".to_owned()));
        let arrow = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let arrows = [arrow("a", "b"), arrow("b", "c"), arrow("c", "b"), arrow("c", "d")];
        assert_eq!(circles(&BTreeSet::from(arrows)), [["b", "c"]]);
    }

    #[test]
    fn a_crate_with_a_circle_or_an_upward_arrow_fails() -> Result<()> {
        let root = project::scratch("modules-test/circle")?;
        let write = |file: &str, text: &str| -> Result<()> {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("a file has a folder"))?;
            Ok(fs::write(path, text)?)
        };
        write("Cargo.toml", "members = [\n    \"one\",\n]\n")?;
        write("one/src/lib.rs", "mod b;\nmod a;\n")?;
        write("one/src/a.rs", "use super::b::B;\n")?;
        write("one/src/b.rs", "pub(crate) struct B;\n")?;
        check(&root)?;
        write("one/src/lib.rs", "mod a;\nmod b;\n")?;
        let error = check(&root).expect_err("b is declared later").to_string();
        assert!(error.contains("one: a -> b"), "{error}");
        write("one/src/b.rs", "use crate::a::A;\n")?;
        let error = check(&root).expect_err("a circle").to_string();
        assert!(error.contains("one: a b"), "{error}");
        Ok(())
    }
}
