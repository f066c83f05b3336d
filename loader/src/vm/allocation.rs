//! One allocation and the state of its pages.

use std::collections::BTreeMap;

use super::Kind;

/// A run of pages of one allocation with the same state; `protect` 0 means reserved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) end: usize,
    pub(super) protect: u32,
}

#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) end: usize,
    pub(super) kind: Kind,
    pub(super) protect: u32,
    /// Backing of a view, so that protections turn on and off without losing it.
    pub(super) is_view: bool,
    /// Set when the loader owns the mapping: `VirtualFree` and `UnmapViewOfFile` must not remove it.
    pub(super) is_foreign: bool,
    pub(super) runs: BTreeMap<usize, Run>,
}

impl Allocation {
    pub(super) fn run_at(&self, at: usize) -> Run {
        // Runs tile the allocation without gaps.
        self.runs.range(..=at).next_back().map_or(
            Run {
                end: self.end,
                protect: 0,
            },
            |(_, run)| *run,
        )
    }

    pub(super) fn runs_in(&self, from: usize, to: usize) -> impl Iterator<Item = Run> {
        let first = self.run_at(from);
        std::iter::once(first).chain(self.runs.range(from + 1..to).map(|(_, run)| *run))
    }

    /// Gives `from..to` one state and merges it with equal neighbours.
    pub(super) fn set(&mut self, mut from: usize, mut to: usize, protect: u32) {
        let (&head, run) = match self.runs.range(..=from).next_back() {
            Some(found) => found,
            None => return,
        };
        let head_run = *run;
        let tail_run = self.run_at(to - 1);
        let inside: Vec<usize> = self.runs.range(from..to).map(|(&at, _)| at).collect();
        for at in inside {
            self.runs.remove(&at);
        }
        if head < from {
            if head_run.protect == protect {
                from = head;
            } else {
                self.runs.insert(
                    head,
                    Run {
                        end: from,
                        protect: head_run.protect,
                    },
                );
            }
        }
        if tail_run.end > to {
            if tail_run.protect == protect {
                to = tail_run.end;
            } else {
                self.runs.insert(to, tail_run);
            }
        }
        if let Some(next) = self
            .runs
            .get(&to)
            .copied()
            .filter(|next| next.protect == protect)
        {
            self.runs.remove(&to);
            to = next.end;
        }
        if let Some((&before, run)) = self.runs.range(..from).next_back()
            && run.end == from
            && run.protect == protect
        {
            from = before;
        }
        self.runs.insert(from, Run { end: to, protect });
    }
}
