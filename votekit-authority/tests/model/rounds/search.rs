//! Visits every state of a scope, checks the invariants in each, and then that a certified log can
//! be reached from each.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use super::scope::{Mutations, Scope};
use super::steps::{Action, steps};
use super::world::{FALSE_BLOCK, World};

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// States visited.
    pub(crate) states: usize,
    pub(crate) verdict: Verdict,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every state was visited, and no violation was found.
    Clean,
    /// An invariant is violated after these steps.
    Violated { rule: &'static str, trace: Vec<Action> },
    /// After these steps, no sequence of steps of the honest authorities leads to a certified log.
    DeadEnd { trace: Vec<Action> },
    /// The scope has more states than the limit.
    Unfinished,
}

impl Outcome {
    /// Whether all states were visited, and no violation was found.
    pub(crate) fn is_clean(&self) -> bool {
        self.verdict == Verdict::Clean
    }

    /// Whether a violation was found.
    pub(crate) fn is_caught(&self) -> bool {
        matches!(self.verdict, Verdict::Violated { .. } | Verdict::DeadEnd { .. })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} states, ", self.states)?;
        let trace = match &self.verdict {
            Verdict::Clean => return formatter.write_str("clean"),
            Verdict::Unfinished => return formatter.write_str("unfinished"),
            Verdict::Violated { rule, trace } => {
                write!(formatter, "{rule}:")?;
                trace
            }
            Verdict::DeadEnd { trace } => {
                formatter.write_str("no way to a certified log:")?;
                trace
            }
        };
        trace.iter().try_for_each(|action| write!(formatter, "\n    {action}"))
    }
}

/// The visited states, in the order of their distance from the first state.
#[derive(Default)]
struct Search {
    known: HashMap<World, u32>,
    worlds: Vec<World>,
    /// For each state except the first, its predecessor and the step from there.
    origins: Vec<Option<(u32, Action)>>,
    /// Steps of honest authorities: the state after the step, and the state before it.
    honest: Vec<(u32, u32)>,
}

/// Visits all states of a scope, at most `states_max`.
pub(crate) fn explore(scope: &Scope, mutations: Mutations, states_max: usize) -> Outcome {
    let mut search = Search::default();
    search.visit(World::default().canonical(scope), None);
    let mut next = 0;
    while let Some(world) = search.worlds.get(next).copied() {
        let place = u32::try_from(next).expect("bounded");
        if let Some(rule) = broken_rule(&world, scope) {
            return search.ended(Verdict::Violated { rule, trace: search.trace(place) });
        }
        for step in steps(&world, scope, mutations) {
            let after = search.visit(step.after, Some((place, step.action)));
            if step.is_honest && after != place {
                search.honest.push((after, place));
            }
        }
        if search.worlds.len() > states_max {
            return search.ended(Verdict::Unfinished);
        }
        next += 1;
    }
    let verdict = match search.stuck(scope) {
        Some(place) => Verdict::DeadEnd { trace: search.trace(place) },
        None => Verdict::Clean,
    };
    search.ended(verdict)
}

impl Search {
    fn ended(&self, verdict: Verdict) -> Outcome {
        Outcome { states: self.worlds.len(), verdict }
    }

    /// The number of a state, a new one if it was not visited.
    fn visit(&mut self, world: World, origin: Option<(u32, Action)>) -> u32 {
        let next = u32::try_from(self.worlds.len()).expect("bounded");
        let place = *self.known.entry(world).or_insert(next);
        if place == next {
            self.worlds.push(world);
            self.origins.push(origin);
        }
        place
    }

    /// The steps from the first state to this one.
    fn trace(&self, mut place: u32) -> Vec<Action> {
        let mut trace = Vec::new();
        while let Some((before, action)) = self.origins[index(place)] {
            trace.push(action);
            place = before;
        }
        trace.reverse();
        trace
    }

    /// A state with terms left from which the honest authorities alone cannot certify the log.
    fn stuck(&mut self, scope: &Scope) -> Option<u32> {
        if scope.ledger_lies() {
            return None;
        }
        self.honest.sort_unstable();
        let mut can_end: Vec<bool> =
            self.worlds.iter().map(|world| !world.is_open(scope)).collect();
        let ended = (0_u32..).zip(&can_end).filter(|(_, ends)| **ends).map(|(place, _)| place);
        let mut reached: VecDeque<u32> = ended.collect();
        while let Some(place) = reached.pop_front() {
            let first = self.honest.partition_point(|(after, _)| *after < place);
            let steps = self.honest[first..].iter().take_while(|(after, _)| *after == place);
            for (_, before) in steps {
                if !std::mem::replace(&mut can_end[index(*before)], true) {
                    reached.push_back(*before);
                }
            }
        }
        let is_stuck =
            |place: u32, world: &World| !can_end[index(place)] && has_terms_left(world, scope);
        let mut numbered = (0_u32..).zip(&self.worlds);
        numbered.find(|(place, world)| is_stuck(*place, world)).map(|(place, _)| place)
    }
}

fn index(place: u32) -> usize {
    usize::try_from(place).expect("at least 32 bits")
}

/// Whether an authority can still get a term above all that were promised.
fn has_terms_left(world: &World, scope: &Scope) -> bool {
    let promised = world.memories.iter().map(|memory| memory.promised_term()).max();
    world.rows.term.max(promised.unwrap_or(0)) < scope.terms
}

/// The invariant that a state breaks.
fn broken_rule(world: &World, scope: &Scope) -> Option<&'static str> {
    for height in 0..scope.heights {
        let certified: Vec<u8> = world.certified(scope, height).collect();
        if certified.len() > 1 {
            return Some("fork: two certified blocks of one height");
        }
        if certified.contains(&FALSE_BLOCK) {
            return Some("a certified block that honest authorities refuse");
        }
        let signed = &world.signed[usize::from(height)][..scope.honest()];
        if signed.iter().any(|set| set.count_ones() > 1) {
            return Some("an honest authority cosigned two blocks of one height");
        }
        // With a ledger that lies, one liar suffices for this; a fork takes 2q - n of them.
        let is_owed = scope.liars == 0 || !scope.ledger_lies();
        let mut cosigned = signed.iter().filter(|set| **set != 0);
        let first = cosigned.next();
        if is_owed && cosigned.any(|set| Some(set) != first) {
            return Some(
                "honest authorities cosigned different blocks of one height: one is stuck",
            );
        }
    }
    None
}
