//! The states of an election as a row of steps, with the times that are known.

use std::cmp::Ordering;

use votekit_core::election::State;
use votekit_core::instant::UnixMinutes;
use votekit_node::OfficialView;

use super::summary::moment;
use crate::web::lang::Lang;
use crate::web::moment::Moment;

/// A step of the timeline.
pub(super) struct TimelineStep {
    pub(super) label: &'static str,
    /// `done`, `now` or `next`: a class of the style sheet.
    pub(super) class: &'static str,
    pub(super) time: Option<Moment>,
    /// Whether the time is planned, not recorded.
    pub(super) is_planned: bool,
}

/// The steps of an election, in their order.
pub(super) fn timeline(lang: Lang, view: &OfficialView) -> Vec<TimelineStep> {
    let (state, planned) = (view.state, &view.definition);
    let index = match state {
        State::Draft => 0,
        State::Open => 1,
        State::Closing => 2,
        State::Certified | State::Annulled => 4,
        _ => 3,
    };
    let last = match state {
        State::Annulled => lang.timeline_annulment(),
        _ => lang.timeline_certification(),
    };
    let times = [
        (lang.official_draft(), None, None),
        (lang.timeline_opening(), view.opened, planned.opens),
        (lang.timeline_close(), view.closed, planned.closes),
        (lang.timeline_count(), None, None),
        (last, None, None),
    ];
    type Known = Option<UnixMinutes>;
    let step = |(at, (label, recorded, planned)): (usize, (&'static str, Known, Known))| {
        let class = match at.cmp(&index) {
            Ordering::Less => "done",
            Ordering::Equal => "now",
            Ordering::Greater => "next",
        };
        let time = moment(lang, recorded.or(planned));
        TimelineStep { label, class, time, is_planned: recorded.is_none() }
    };
    times.into_iter().enumerate().map(step).collect()
}
