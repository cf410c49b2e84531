//! Verbs at a terminal: hidden prompts, second attempts, confirmation before steps that cannot be
//! undone. The terminal is a real pseudo-terminal.
#![cfg(feature = "node")]

mod support;

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{self, PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use support::TestDir;
use support::node::Node;
use support::poll::{self, LAW};

/// The time limit for expected events.
const SCREEN_TIMEOUT: Duration = Duration::from_secs(120);

/// `votekit` at a terminal, with a keyboard and a screen.
struct Terminal {
    keyboard: File,
    /// The terminal itself, to read its settings.
    tty: File,
    child: Child,
    output: Receiver<Vec<u8>>,
    screen: String,
}

impl Terminal {
    fn start(dir: &TestDir, arguments: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&master).expect("granted");
        unlockpt(&master).expect("unlocked");
        let name = ptsname(&master, Vec::new()).expect("a name").into_string().expect("text");
        let tty = OpenOptions::new().read(true).write(true).open(&name).expect("the terminal");
        let stream = || tty.try_clone().expect("another handle");
        // A new session with this terminal, so that Ctrl-C becomes a signal. Default signal
        // handling, since a test run in the background would have signals ignored.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "env", "--default-signal=INT,TERM,QUIT,TSTP,HUP"]);
        command.arg(env!("CARGO_BIN_EXE_votekit")).args(arguments).current_dir(dir.path(""));
        command.stdin(stream()).stdout(stream()).stderr(stream());
        let child = command.spawn().expect("setsid of util-linux is on this machine");
        let keyboard = File::from(master);
        let mut screen = keyboard.try_clone().expect("another handle");
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { keyboard, tty, child, output, screen: String::new() }
    }

    /// Waits until the screen ends with a text.
    #[track_caller]
    fn sees(&mut self, text: &str) {
        let began = Instant::now();
        while !self.screen.ends_with(text) {
            match self.output.recv_timeout(SCREEN_TIMEOUT.saturating_sub(began.elapsed())) {
                Ok(bytes) => self.screen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("no {text:?} at the end of: {:?}", self.screen),
            }
        }
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("typed");
        // The kernel delivers keyboard input in a separate worker, so a signal could overtake the
        // text. Polling the terminal waits for that worker.
        self.has_input();
    }

    /// Reads a line as the next program at this terminal would.
    fn line(&mut self) -> String {
        assert!(self.has_input(), "no line");
        let mut line = [0; 256];
        let length = self.tty.read(&mut line).expect("a terminal");
        String::from_utf8_lossy(&line[..length]).into_owned()
    }

    /// Whether the next program at this terminal would read a line.
    fn has_input(&self) -> bool {
        let mut wanted = [PollFd::new(&self.tty, PollFlags::IN)];
        event::poll(&mut wanted, Some(&Timespec::default())).expect("a terminal") > 0
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.tty).expect("a terminal").local_modes.contains(LocalModes::ECHO)
    }

    /// Waits until the terminal echoes input, or does not.
    #[track_caller]
    fn until_echo_is(&self, wanted: bool) {
        let began = Instant::now();
        while self.echoes() != wanted {
            assert!(
                began.elapsed() < SCREEN_TIMEOUT,
                "the terminal stays as it is: {:?}",
                self.screen
            );
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn send(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(id, signal).expect("not waited for, so it is there");
    }

    /// Waits for the exit. Returns the status, the screen, and whether the terminal echoes.
    fn ends(mut self) -> (ExitStatus, String, bool) {
        let ended = self.exited();
        self.left(ended)
    }

    fn exited(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }

    fn left(&mut self, ended: ExitStatus) -> (ExitStatus, String, bool) {
        let echoes = self.echoes();
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(200)) {
            self.screen.push_str(&String::from_utf8_lossy(&bytes));
        }
        (ended, std::mem::take(&mut self.screen), echoes)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // An error means that the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a vote up to the prompt for the access code.
fn at_the_code(dir: &TestDir, node: &Node, nas: &str) -> Terminal {
    let mut terminal = Terminal::start(dir, &["cast", "--node", &node.public, "--law", LAW]);
    terminal.sees("NAS: ");
    terminal.types(&format!("{nas}\n"));
    terminal.sees("Access code: ");
    terminal.until_echo_is(false);
    terminal
}

#[test]
fn an_interrupted_hidden_prompt_leaves_the_terminal_as_it_was() {
    let (dir, electors) = poll::opened(3);
    let node = Node::serve(&dir);
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
        let mut terminal = at_the_code(&dir, &node, &electors[0].nas);
        terminal.types("HALFCODE");
        match signal {
            Signal::INT => terminal.types("\u{3}"),
            other => terminal.send(other),
        }
        let ended = terminal.exited();
        // A shell would read the rest of the line as a command, once it is ended.
        terminal.types("\n");
        assert_eq!(terminal.line(), "\n", "{signal:?}: the half-typed code is left behind");
        let (ended, screen, echoes) = terminal.left(ended);
        // A shell shows 128 and the number of the signal: 130 after Ctrl-C, 143 after SIGTERM.
        assert_eq!(ended.signal(), Some(signal.as_raw()), "{signal:?}: {ended} {screen:?}");
        assert!(echoes, "{signal:?}: the terminal shows nothing of what is typed");
        assert!(!screen.contains("HALF"), "{signal:?}: {screen:?}");
        assert!(screen.ends_with("Access code: \r\n\r\n"), "{signal:?}: {screen:?}");
    }
    node.stop();
}

#[test]
fn stopped_hidden_prompt_hides_input_again_when_continued() {
    let (dir, electors) = poll::opened(3);
    let node = Node::serve(&dir);
    let mut terminal = at_the_code(&dir, &node, &electors[0].nas);
    terminal.types("\u{1a}");
    terminal.until_echo_is(true);
    terminal.send(Signal::CONT);
    terminal.until_echo_is(false);
    terminal.types(&format!("{}\n", electors[0].code));
    terminal.sees("Vote: ");
    assert!(terminal.echoes());
    terminal.types("oui\n");
    let (ended, screen, _) = terminal.ends();
    assert!(ended.success() && screen.contains("Your vote is recorded and counts."), "{screen:?}");
    assert!(!screen.contains(&electors[0].code), "{screen:?}");
    node.stop();
}

#[test]
fn mistyped_answer_is_asked_for_again() {
    let (dir, electors) = poll::opened(3);
    let node = Node::serve(&dir);
    let mut terminal = Terminal::start(&dir, &["cast", "--node", &node.public, "--law", LAW]);
    terminal.sees("NAS: ");
    for (wrong, answer) in [("1234\n", "has 4"), ("\n", "has 0"), ("12345678X\n", "else")] {
        terminal.types(wrong);
        // With the answer: the echo of the typed text may precede the prompt.
        terminal.sees(&format!("{answer}\r\nNAS: "));
    }
    terminal.types(&format!("{}\n", electors[0].nas));
    terminal.sees("Access code: ");
    for (wrong, answer) in [("AB\n", "has 2"), ("AB#D1234\n", "else")] {
        terminal.until_echo_is(false);
        terminal.types(wrong);
        terminal.sees(&format!("{answer}\r\nAccess code: "));
    }
    terminal.until_echo_is(false);
    terminal.types(&format!("{}\n", electors[0].code));
    terminal.sees("Vote: ");
    terminal.types("peut-etre\n");
    terminal.sees("\r\nVote: ");
    terminal.types("non\n");
    let (ended, screen, _) = terminal.ends();
    assert!(ended.success(), "{ended}: {screen:?}");
    for text in [
        "a NAS has exactly 9 digits, this one has 4",
        "the ballot has no such choice (choose one of: oui, non, blanc)",
        "Your vote is recorded and counts.",
    ] {
        assert!(screen.contains(text), "no {text:?}: {screen:?}");
    }
    assert!(!screen.contains("AB#D"), "{screen:?}");
    // The end of the input ends the command.
    let mut terminal = Terminal::start(&dir, &["cast", "--node", &node.public, "--law", LAW]);
    terminal.sees("NAS: ");
    terminal.types("\u{4}");
    let (ended, screen, _) = terminal.ends();
    assert_eq!(ended.code(), Some(3), "{screen:?}");
    node.stop();
}

fn state(dir: &TestDir) -> String {
    let shown = dir.run(&["election", "show", LAW, "--data", "node", "--json"]).json();
    shown["state"].as_str().expect("a state").to_owned()
}

#[test]
fn steps_that_cannot_be_undone_ask_at_a_terminal() {
    let (dir, _) = poll::drafted(3, &["--closes", "2036-11-22T08:00:00-05:00"]);
    for (step, more, stated, before, after) in [
        (
            "open",
            &[][..],
            "The poll opens, and 3 electors can vote until 2036-11-22T13:00:00Z.",
            "draft",
            "open",
        ),
        (
            "close",
            &["--early", "panne au bureau central"],
            "Its planned end is 2036-11-22T13:00:00Z, in ",
            "open",
            "closed",
        ),
        (
            "certify",
            &[],
            "The result is declared official, with 0 accepted votes",
            "closed",
            "certified",
        ),
        ("purge", &[], "no recount is possible after that", "certified", "certified"),
    ] {
        let verb = [&["election", step, LAW, "--data", "node"][..], more].concat();
        // Without a terminal nothing is asked and nothing done.
        dir.run(&verb)
            .fails(2, &["cannot be undone, and there is no terminal", "hint: give --yes"]);
        dir.run(&[&verb[..], &["--json"]].concat()).fails(2, &[r#""hint":"give --yes"#]);
        assert_eq!(state(&dir), before);
        for answer in ["\n", "yes\n", "l2025-001\n", "\u{4}"] {
            let mut terminal = Terminal::start(&dir, &verb);
            terminal.sees("Type L2025-001 to continue, or Enter to cancel: ");
            terminal.types(answer);
            let (ended, screen, _) = terminal.ends();
            assert_eq!(ended.code(), Some(3), "{step}, {answer:?}: {screen:?}");
            assert!(screen.contains("not confirmed: nothing was changed"), "{screen:?}");
            assert!(screen.contains("L2025-001: Loi sur l’eau / Water Act"), "{screen:?}");
            assert!(screen.contains(stated), "{step}: no {stated:?}: {screen:?}");
        }
        assert_eq!(state(&dir), before);
        // With JSON, too, a person at the terminal is asked.
        let mut terminal = Terminal::start(&dir, &[&verb[..], &["--json"]].concat());
        terminal.sees("Type L2025-001 to continue, or Enter to cancel: ");
        terminal.types("L2025-001\n");
        let (ended, screen, _) = terminal.ends();
        assert!(ended.success(), "{step}: {ended}: {screen:?}");
        assert!(screen.contains(&format!(r#""state":"{after}""#)), "{screen:?}");
        assert_eq!(state(&dir), after);
    }
}

#[test]
fn a_step_that_the_state_does_not_allow_is_refused_before_the_question() {
    let (dir, _) = poll::drafted(3, &[]);
    let refused = |verb: &str| {
        let step = ["election", verb, LAW, "--data", "node"];
        let reason: &[&str] = if verb == "annul" { &["--reason", "panne"] } else { &[] };
        let terminal = Terminal::start(&dir, &[&step[..], reason].concat());
        let (ended, screen, _) = terminal.ends();
        assert_eq!(ended.code(), Some(3), "{verb}: {screen:?}");
        assert!(screen.contains("the election is ") && !screen.contains("Type "), "{screen:?}");
    };
    ["close", "certify", "annul", "purge"].into_iter().for_each(refused);
    dir.run(&["election", "open", LAW, "--yes", "--data", "node"]).succeeds();
    ["open", "certify", "annul", "purge"].into_iter().for_each(refused);
    assert_eq!(state(&dir), "open");
}

#[test]
fn a_close_before_the_planned_end_wants_a_reason() {
    let (dir, _) = poll::drafted(3, &["--closes", "2036-11-22T08:00:00-05:00"]);
    dir.run(&["election", "open", LAW, "--yes", "--data", "node"]).succeeds();
    let close = |more: &[&str]| {
        dir.run(&[&["election", "close", LAW, "--yes", "--data", "node"][..], more].concat())
    };
    let said = "planned to close at 2036-11-22T13:00:00Z: closing it earlier requires a reason";
    close(&[]).fails(3, &[said, "hint: to close early, give the reason with --early REASON"]);
    close(&["--early", " "]).fails(3, &["reason: the reason has only blank characters"]);
    close(&["--early", "a\nb"]).fails(3, &["reason: the reason: character 2 is U+000A"]);
    assert_eq!(state(&dir), "open");
    // At a terminal this is reported before the question.
    let terminal = Terminal::start(&dir, &["election", "close", LAW, "--data", "node"]);
    let (ended, screen, _) = terminal.ends();
    assert_eq!(ended.code(), Some(3), "{screen:?}");
    assert!(screen.contains(said) && !screen.contains("Type "), "{screen:?}");
    // On a running node, through its API.
    let node = Node::serve(&dir);
    let admin = ["--node", &node.admin, "--data", "node"];
    let close =
        |more: &[&str]| dir.run(&[&["election", "close", LAW, "--yes"][..], &admin, more].concat());
    close(&[]).fails(3, &[said, "hint: to close early, give the reason with --early REASON"]);
    close(&["--early", "\u{1b}[2J"]).fails(3, &["reason: the reason: character 1 is U+001B"]);
    assert!(close(&["--early", "panne"]).succeeds().contains("  state        closed"));
    node.stop();
    dir.run(&["export", "bundle", "bundle", "--data", "node"]).succeeds();
    let log = String::from_utf8(dir.read("bundle/leaves.jsonl")).expect("UTF-8");
    assert!(log.contains(r#""reason":"panne""#), "the log keeps the reason");
}
