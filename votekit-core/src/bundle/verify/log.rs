//! The rules of a log, leaf by leaf: the order inside a block, heights, terms, times and the states
//! of the election.

use super::Line;
use super::batches::Batches;
use super::entries::Entries;
use super::leaves::Item;
use super::rolls::Rolls;
use super::totals::TotalsCheck;
use crate::binding::BindingRule;
use crate::bundle::{Account, Failures, Rule};
use crate::decision::Outcome;
use crate::election::{Definition, ResultsPolicy, State, TextPart, Window, check_text};
use crate::election_log::{CLOSING_AHEAD_MINUTES_MAX, REASON_LENGTH_MAX, is_too_far_ahead};
use crate::envelope::EnvelopeDigest;
use crate::instant::UnixMinutes;
use crate::log::leaf::{BlockLeaf, ElectionEvent, Leaf};
use crate::log::merkle::TreeHash;
use crate::reconcile::Report;

/// The position inside a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Election, roll and node leaves.
    Head,
    /// Batches with their entries and replays.
    Batches,
    /// After the counts.
    Counts,
    /// After the totals.
    Totals,
}

/// The log as read so far.
pub(super) struct Log<'a> {
    pub(super) account: Account,
    pub(super) rolls: Rolls<'a>,
    pub(super) batches: Batches,
    entries: Entries,
    totals: TotalsCheck,
    window: Window,
    phase: Phase,
    /// Whether there are leaves after the last block leaf.
    inside: bool,
    block: Option<BlockLeaf>,
    /// The latest time in this block, with its line.
    latest: (UnixMinutes, u64),
    /// Whether the log states that evidence and keys are destroyed.
    purged: bool,
    /// Whether this block closes the election.
    closes: bool,
    /// Whether this block has opened totals.
    opened: bool,
    /// The names of the policy's authorities; empty if unknown.
    leaders: Vec<String>,
}

impl<'a> Log<'a> {
    /// An empty log. `entries` is the approximate number of entries to expect; `seed` is that of
    /// [`Table`](crate::bundle::table::Table).
    pub(super) fn new(
        rolls: Rolls<'a>,
        leaders: Vec<String>,
        entries: usize,
        seed: u64,
        threads: usize,
    ) -> Self {
        Self {
            account: Account::default(),
            rolls,
            batches: Batches::with_threads(threads),
            entries: Entries::with_capacity(entries, seed),
            totals: TotalsCheck::default(),
            window: Window { opens: None, closes: None },
            phase: Phase::Head,
            inside: false,
            block: None,
            latest: (UnixMinutes(0), 0),
            purged: false,
            closes: false,
            opened: false,
            leaders,
        }
    }

    /// Takes the next line.
    pub(super) fn take(
        &mut self,
        item: &Item,
        root: &dyn Fn() -> TreeHash,
        failures: &mut Failures,
    ) {
        let mut line = Line { failures, number: self.account.leaves() + 1 };
        self.inside = true;
        match item {
            Item::Outcome(outcome, digest) => self.take_outcome(outcome, digest, &mut line),
            Item::Other(leaf) => {
                self.take_leaf(leaf, &mut line);
                self.account.take(leaf, root);
            }
            Item::Bad(error) => {
                line.fail(Rule::Leaf, format_args!("{error}"));
                self.account.skip();
            }
        }
    }

    /// Checks what can be checked only at the end.
    pub(super) fn finish(&mut self, failures: &mut Failures) {
        self.batches.end_batch(failures);
        self.batches.verify_signatures(failures);
        let mut line = Line { failures, number: self.account.leaves() };
        if self.inside {
            line.fail(Rule::BlockOrder, format_args!("the log ends inside a block"));
        }
        if self.account.leaves() == 0 {
            line.fail(Rule::State, format_args!("the log is empty"));
        }
        self.totals.finish(&mut line);
        let (accepted, registered) = (self.account.report().accepted, self.account.registered());
        if accepted > registered {
            line.fail(
                Rule::Registered,
                format_args!("{accepted} votes were accepted of {registered} electors registered"),
            );
        }
    }

    fn take_outcome(&mut self, outcome: &Outcome, digest: &EnvelopeDigest, line: &mut Line<'_>) {
        if self.phase != Phase::Batches {
            line.fail(Rule::BlockOrder, format_args!("an entry that belongs to no batch"));
        }
        self.batches.take_outcome(outcome, digest, line);
        self.entries.take(outcome, &self.window, line);
        if let Some(entry) = outcome.entry() {
            self.note_time(entry.minute, line.number);
            self.rolls.take_entry(entry, line);
        }
        self.account.take_outcome(outcome);
    }

    fn note_time(&mut self, minute: UnixMinutes, line: u64) {
        if minute > self.latest.0 {
            self.latest = (minute, line);
        }
    }

    fn take_leaf(&mut self, leaf: &Leaf, line: &mut Line<'_>) {
        let follows = match leaf {
            Leaf::Election(_) | Leaf::Roll(_) | Leaf::Node(_) => self.phase == Phase::Head,
            Leaf::Batch(_) => matches!(self.phase, Phase::Head | Phase::Batches),
            Leaf::Counts(_) => self.phase == Phase::Batches,
            Leaf::Totals(_) => matches!(self.phase, Phase::Head | Phase::Counts),
            Leaf::Block(_) => self.phase != Phase::Batches,
            Leaf::Entry(_) | Leaf::Replay(_) => true,
        };
        self.batches.end_batch(line.failures);
        if !follows {
            line.fail(
                Rule::BlockOrder,
                format_args!("a leaf of this kind cannot stand here, after {}", after(self.phase)),
            );
        }
        if self.account.leaves() == 0
            && !matches!(leaf, Leaf::Election(ElectionEvent::Draft { .. }))
        {
            line.fail(
                Rule::State,
                format_args!("the log does not begin with the draft of an election"),
            );
        }
        let state = self.account.state();
        match leaf {
            Leaf::Election(event) => self.take_event(event, line),
            Leaf::Roll(roll) => {
                self.rolls.take(roll, state, line);
                // The rules of a binding election hold for its whole life.
                if state == Some(State::Open) {
                    self.check_rolls_bind(line);
                }
            }
            Leaf::Node(event) => self.batches.take_node(event, state, line),
            Leaf::Batch(batch) => {
                self.phase = Phase::Batches;
                let law_id = self.account.definition().map(|definition| &definition.law_id);
                self.batches.take_batch(batch, law_id, state, line);
            }
            Leaf::Counts(counts) => {
                self.phase = Phase::Counts;
                self.totals.take_counts(
                    &counts.commitments,
                    self.height(),
                    self.account.report().accepted,
                    line,
                );
            }
            Leaf::Totals(totals) => {
                self.phase = Phase::Totals;
                self.opened = true;
                let accepted = self.account.report().accepted;
                self.totals.take_totals(totals, self.height(), self.closes, accepted, line);
            }
            Leaf::Block(block) => self.end_block(block, line),
            Leaf::Entry(_) | Leaf::Replay(_) => {}
        }
    }

    /// The height of the current block.
    fn height(&self) -> u64 {
        self.block.as_ref().map_or(1, |block| block.height.saturating_add(1))
    }

    fn end_block(&mut self, block: &BlockLeaf, line: &mut Line<'_>) {
        let expected = self.height();
        if block.height != expected {
            line.fail(
                Rule::BlockHeight,
                format_args!("height {} where {expected} should come", block.height),
            );
        }
        if let Some(before) = &self.block {
            if block.term < before.term {
                line.fail(
                    Rule::BlockTerm,
                    format_args!("term {} after term {}", block.term, before.term),
                );
            }
            if block.sealed_at < before.sealed_at {
                line.fail(
                    Rule::BlockTime,
                    format_args!("sealed at {}, before {}", block.sealed_at, before.sealed_at),
                );
            }
        }
        if !self.leaders.is_empty() && !self.leaders.contains(&block.leader) {
            line.fail(
                Rule::BlockLeader,
                format_args!("'{}' is not an authority of the policy", block.leader.escape_debug()),
            );
        }
        if self.latest.0 > block.sealed_at {
            let (latest, number) = self.latest;
            let mut line = Line { failures: line.failures, number };
            line.fail(
                Rule::LeafTime,
                format_args!("{latest} is after {}, the minute of its block", block.sealed_at),
            );
        }
        self.latest = (UnixMinutes(0), 0);
        if self.closes && !self.opened {
            line.fail(
                Rule::TotalsPlace,
                format_args!("the block that closes the election opens no totals"),
            );
        }
        self.block = Some(block.clone());
        (self.phase, self.inside, self.closes, self.opened) = (Phase::Head, false, false, false);
    }

    fn take_event(&mut self, event: &ElectionEvent, line: &mut Line<'_>) {
        self.check_state(event, line);
        self.note_time(event.at(), line.number);
        if self.block.as_ref().is_some_and(|block| event.at() < block.sealed_at) {
            line.fail(
                Rule::LeafTime,
                format_args!("{} is before the minute of the block before", event.at()),
            );
        }
        match event {
            ElectionEvent::Draft { definition, .. } => {
                self.take_definition(definition, line);
            }
            ElectionEvent::Amended { definition, .. } => {
                self.check_amendment(definition, line);
                self.take_definition(definition, line);
            }
            ElectionEvent::Open { at, opens, closes, registered, waivers, zero_report } => {
                self.take_opening(*at, *opens, *closes, line);
                self.check_registered(*registered, line);
                if *zero_report != Report::default() || self.account.report() != Report::default() {
                    line.fail(
                        Rule::ZeroReport,
                        format_args!("something was in the box before the opening"),
                    );
                }
                self.check_binding(waivers, line);
            }
            ElectionEvent::Closing { at, closes, reason } => {
                self.take_closing(*at, *closes, reason.as_deref(), line);
            }
            ElectionEvent::Closed { registered, report, .. } => {
                self.closes = true;
                self.check_registered(*registered, line);
                let counted = self.account.report();
                if *report != counted {
                    line.fail(
                        Rule::CloseReport,
                        format_args!("the leaf reports {report}; the log holds {counted}"),
                    );
                }
                self.batches.check_ended(line);
            }
            // The digest is compared once the results have been made again.
            ElectionEvent::Certified { witness_waiver, .. } => {
                if let Some(reason) = witness_waiver {
                    check_reason(reason, line);
                }
            }
            ElectionEvent::Annulled { reason, .. } => check_reason(reason, line),
            ElectionEvent::Purged { .. } => self.purged = true,
        }
    }

    /// Checks that an event follows from the state before it.
    fn check_state(&self, event: &ElectionEvent, line: &mut Line<'_>) {
        let before = self.account.state();
        let follows = match event {
            ElectionEvent::Draft { .. } => before.is_none(),
            ElectionEvent::Amended { .. } | ElectionEvent::Open { .. } => {
                before == Some(State::Draft)
            }
            ElectionEvent::Closing { .. } => before == Some(State::Open),
            ElectionEvent::Closed { .. } => before == Some(State::Closing),
            ElectionEvent::Certified { .. } => before == Some(State::Closed),
            ElectionEvent::Annulled { .. } => {
                matches!(before, Some(State::Closed | State::Certified))
            }
            ElectionEvent::Purged { .. } => {
                matches!(before, Some(State::Certified | State::Annulled)) && !self.purged
            }
        };
        if !follows {
            let before = before.map_or_else(|| "no state".to_owned(), |before| before.to_string());
            line.fail(Rule::State, format_args!("'{}' after '{before}'", name_of(event)));
        }
    }

    fn check_amendment(&self, definition: &Definition, line: &mut Line<'_>) {
        let Some(before) = self.account.definition() else { return };
        if (&before.law_id, before.binding, before.ballot_key)
            != (&definition.law_id, definition.binding, definition.ballot_key)
        {
            line.fail(
                Rule::Amendment,
                format_args!("the law, whether it binds, or the ballot key is another"),
            );
        }
    }

    fn take_closing(
        &mut self,
        at: UnixMinutes,
        closes: UnixMinutes,
        reason: Option<&str>,
        line: &mut Line<'_>,
    ) {
        if self.window.opens.is_some_and(|opens| closes <= opens) {
            line.fail(
                Rule::Window,
                format_args!("the poll closes at {closes}, no later than it opens"),
            );
        }
        if is_too_far_ahead(closes, at) {
            line.fail(
                Rule::Window,
                format_args!(
                    "the poll closes at {closes}, more than {CLOSING_AHEAD_MINUTES_MAX} minutes \
                     after the closing was recorded at {at}"
                ),
            );
        }
        let planned = self.window.closes;
        if planned.is_some_and(|planned| closes > planned) {
            line.fail(
                Rule::Window,
                format_args!("the poll closes at {closes}, later than was planned"),
            );
        }
        match (planned.is_some_and(|planned| closes < planned), reason) {
            (true, None) => line.fail(
                Rule::Window,
                format_args!("the poll closes at {closes}, earlier than planned, for no reason"),
            ),
            (false, Some(_)) => line.fail(
                Rule::Window,
                format_args!("a reason is given, and the poll does not close earlier than planned"),
            ),
            (true, Some(reason)) => check_reason(reason, line),
            (false, None) => {}
        }
        self.window.closes = Some(closes);
        self.entries.check_close(closes, line);
    }

    fn take_definition(&mut self, definition: &Definition, line: &mut Line<'_>) {
        if let Err(error) = definition.check() {
            line.fail(Rule::Definition, format_args!("{error}"));
        }
        self.rolls.set_law(definition.law_id.clone());
        let live = (definition.results == ResultsPolicy::Live).then_some(definition.publish_every);
        self.totals.set_ballot(definition.choices.len(), live);
    }

    fn take_opening(
        &mut self,
        at: UnixMinutes,
        opens: UnixMinutes,
        closes: Option<UnixMinutes>,
        line: &mut Line<'_>,
    ) {
        if opens < at {
            line.fail(
                Rule::Window,
                format_args!("the poll opens at {opens}, before that was decided at {at}"),
            );
        }
        if closes.is_some_and(|closes| closes <= opens) {
            line.fail(
                Rule::Window,
                format_args!("the poll closes no later than it opens, at {opens}"),
            );
        }
        let planned =
            self.account.definition().map(|definition| (definition.opens, definition.closes));
        if planned.is_some_and(|(planned, _)| planned.is_some_and(|planned| opens < planned)) {
            line.fail(
                Rule::Window,
                format_args!("the poll opens at {opens}, earlier than was planned"),
            );
        }
        if planned.is_some_and(|(_, planned)| closes != planned) {
            line.fail(
                Rule::Window,
                format_args!("the opening states another closing time than the definition"),
            );
        }
        self.window = Window { opens: Some(opens), closes };
    }

    fn check_registered(&self, stated: u64, line: &mut Line<'_>) {
        let counted = self.account.registered();
        if stated != counted {
            line.fail(
                Rule::Registered,
                format_args!("{stated} electors are stated, the rolls come to {counted}"),
            );
        }
    }

    /// One rule of binding elections can be waived, by name and in the log: that results are shown
    /// only after the close.
    fn check_binding(&self, waivers: &[String], line: &mut Line<'_>) {
        if let Some(unknown) = waivers.iter().find(|waiver| *waiver != BindingRule::RESULTS_WAIVER)
        {
            line.fail(Rule::Binding, format_args!("{unknown:?} is not a rule that can be waived"));
        }
        let Some(definition) = self.account.definition().filter(|definition| definition.binding)
        else {
            return;
        };
        if definition.results != ResultsPolicy::AfterClose && waivers.is_empty() {
            line.fail(
                Rule::Binding,
                format_args!("results may be seen before the close, and that is not waived"),
            );
        }
        self.check_rolls_bind(line);
    }

    /// Checks what a binding election requires of every roll and supplement.
    fn check_rolls_bind(&self, line: &mut Line<'_>) {
        if !self.account.definition().is_some_and(|definition| definition.binding) {
            return;
        }
        if !self.rolls.is_peppered() {
            line.fail(Rule::Binding, format_args!("the roll is hashed without a pepper"));
        }
        if let Some(length) = self.rolls.short_code() {
            line.fail(
                Rule::Binding,
                format_args!(
                    "an access code has {length} characters, fewer than {}",
                    Definition::BINDING_CODE_LENGTH_MIN
                ),
            );
        }
    }
}

fn check_reason(reason: &str, line: &mut Line<'_>) {
    if let Err(error) = check_text(TextPart::Reason, reason, 1..=REASON_LENGTH_MAX) {
        line.fail(Rule::State, format_args!("{error}"));
    }
}

const fn after(phase: Phase) -> &'static str {
    match phase {
        Phase::Head => "no batch",
        Phase::Batches => "a batch or an entry",
        Phase::Counts => "the counts",
        Phase::Totals => "the totals",
    }
}

const fn name_of(event: &ElectionEvent) -> &'static str {
    match event {
        ElectionEvent::Draft { .. } => "draft",
        ElectionEvent::Amended { .. } => "amended",
        ElectionEvent::Open { .. } => "open",
        ElectionEvent::Closing { .. } => "closing",
        ElectionEvent::Closed { .. } => "closed",
        ElectionEvent::Certified { .. } => "certified",
        ElectionEvent::Annulled { .. } => "annulled",
        ElectionEvent::Purged { .. } => "purged",
    }
}
