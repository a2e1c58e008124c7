//! Atomics whose loads may return old values, as far as the memory model of C++ and Rust allows.
//!
//! Each cell keeps every value that was ever stored in it. A thread has a *view*: for each cell, the
//! oldest value that it may still see. A load returns that value or any later one, and moves the view.
//! An acquiring load joins the view that was released with the value. Of two sequentially consistent
//! fences, the later one joins the view of the earlier one.
//!
//! This is the view machine of Kang et al. (*A Promising Semantics for Relaxed-Memory Concurrency*,
//! POPL 2017) without its promises: a load never returns a store that comes later in the run.
//! `SeqCst` accesses count as acquire and release.

#![expect(missing_docs, reason = "the original documents it")]

use std::fmt;
use std::mem;
use std::panic::Location;
pub use std::sync::atomic::Ordering;

use crate::explore::{step, with_run};

/// For each cell, the oldest value that may still be seen, as an index of the cell's values.
#[derive(Debug, Clone, Default)]
pub(crate) struct View(Vec<usize>);

impl View {
    fn at(&self, cell: usize) -> usize {
        self.0.get(cell).copied().unwrap_or(0)
    }

    fn raise(&mut self, cell: usize, to: usize) {
        if self.0.len() <= cell {
            self.0.resize(cell + 1, 0);
        }
        self.0[cell] = self.0[cell].max(to);
    }

    fn join(&mut self, other: &Self) {
        for (cell, &to) in other.0.iter().enumerate() {
            self.raise(cell, to);
        }
    }
}

/// The views of a thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Views {
    now: View,
    /// Joined at its next fence.
    acquired: View,
    /// The view at its last fence.
    released: View,
}

/// All cells, and the view at the last fence of all threads.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    cells: Vec<Vec<Stored>>,
    fences: View,
}

#[derive(Debug)]
struct Stored {
    value: usize,
    released: View,
}

fn acquires(ordering: Ordering) -> bool {
    matches!(
        ordering,
        Ordering::Acquire | Ordering::AcqRel | Ordering::SeqCst
    )
}

fn releases(ordering: Ordering) -> bool {
    matches!(
        ordering,
        Ordering::Release | Ordering::AcqRel | Ordering::SeqCst
    )
}

/// A cell of memory.
#[derive(Debug)]
pub(crate) struct Cell(usize);

impl Cell {
    pub(crate) fn new(value: usize) -> Self {
        with_run(|run| {
            let cells = &mut run.memory.cells;
            cells.push(vec![Stored {
                value,
                released: View::default(),
            }]);
            Self(cells.len() - 1)
        })
    }

    /// Returns any value that may still be seen.
    #[track_caller]
    pub(crate) fn load(&self, ordering: Ordering) -> usize {
        step();
        let line = Location::caller();
        with_run(|run| {
            let mut seen: Vec<(usize, usize)> = Vec::new();
            let (memory, views) = run.memory();
            let stored = memory.cells[self.0].iter().enumerate();
            // The newest first. Of equal values, only the newest is a choice.
            for (at, Stored { value, .. }) in stored.skip(views.now.at(self.0)).rev() {
                if seen.iter().all(|(_, other)| other != value) {
                    seen.push((at, *value));
                }
            }
            let chosen = run.choose(seen.len());
            let (at, value) = seen[chosen];
            let (memory, views) = run.memory();
            views.see(self.0, at, &memory.cells[self.0][at], ordering);
            let age = if chosen > 0 { ", which is old" } else { "" };
            run.note(format_args!("{}: loads {value}{age}", Line(line)));
            value
        })
    }

    /// Stores a value after all others.
    #[track_caller]
    pub(crate) fn store(&self, value: usize, ordering: Ordering) {
        step();
        let line = Location::caller();
        with_run(|run| {
            let (memory, views) = run.memory();
            memory.write(self.0, value, views, ordering, None);
            run.note(format_args!("{}: stores {value}", Line(line)));
        });
    }

    /// Reads the newest value and stores the one that `change` returns, if any. Returns the value read.
    #[track_caller]
    pub(crate) fn update(
        &self,
        ordering: Ordering,
        change: impl FnOnce(usize) -> Option<usize>,
    ) -> usize {
        step();
        self.update_now(ordering, change)
    }

    /// As `update`, in the same step as the caller's last access.
    #[track_caller]
    pub(crate) fn update_now(
        &self,
        ordering: Ordering,
        change: impl FnOnce(usize) -> Option<usize>,
    ) -> usize {
        let line = Location::caller();
        with_run(|run| {
            let (memory, views) = run.memory();
            let at = memory.cells[self.0].len() - 1;
            let before = &memory.cells[self.0][at];
            let (value, released) = (before.value, before.released.clone());
            let changed = change(value);
            views.see(self.0, at, before, ordering);
            if let Some(changed) = changed {
                memory.write(self.0, changed, views, ordering, Some(&released));
                run.note(format_args!("{}: changes {value} to {changed}", Line(line)));
            }
            value
        })
    }
}

impl Views {
    fn see(&mut self, cell: usize, at: usize, stored: &Stored, ordering: Ordering) {
        self.now.raise(cell, at);
        if acquires(ordering) {
            self.now.join(&stored.released);
        }
        self.acquired.join(&stored.released);
    }

    /// Joins `view`.
    fn join(&mut self, view: &View) {
        self.now.join(view);
    }
}

impl Memory {
    /// `before` is the view that was released with the value that this one replaces.
    fn write(
        &mut self,
        cell: usize,
        value: usize,
        views: &mut Views,
        ordering: Ordering,
        before: Option<&View>,
    ) {
        views.now.raise(cell, self.cells[cell].len());
        let mut released = if releases(ordering) {
            views.now.clone()
        } else {
            views.released.clone()
        };
        if let Some(before) = before {
            released.join(before);
        }
        self.cells[cell].push(Stored { value, released });
    }
}

/// The line of the code under test.
struct Line(&'static Location<'static>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.0.file().rsplit('/').next().unwrap_or_default();
        write!(f, "{file}:{}", self.0.line())
    }
}

/// Returns the view of the current thread, to be sent with a value.
pub(crate) fn view() -> View {
    with_run(|run| run.memory().1.now.clone())
}

/// Joins the view that was sent with a value.
pub(crate) fn join(view: &View) {
    with_run(|run| run.memory().1.join(view));
}

/// As [`std::sync::atomic::fence`].
#[track_caller]
pub fn fence(ordering: Ordering) {
    assert_eq!(ordering, Ordering::SeqCst, "the pool uses no other fences");
    step();
    let line = Location::caller();
    with_run(|run| {
        let (memory, views) = run.memory();
        let acquired = mem::take(&mut views.acquired);
        views.now.join(&acquired);
        views.now.join(&memory.fences);
        memory.fences = views.now.clone();
        views.released = views.now.clone();
        run.note(format_args!("{}: fence", Line(line)));
    });
}

/// As [`std::sync::atomic::AtomicUsize`], with the methods that the pool uses.
#[derive(Debug)]
pub struct AtomicUsize(Cell);

impl AtomicUsize {
    /// Made by one thread, before others can access it.
    pub fn new(value: usize) -> Self {
        Self(Cell::new(value))
    }

    #[track_caller]
    pub fn load(&self, ordering: Ordering) -> usize {
        self.0.load(ordering)
    }

    #[track_caller]
    pub fn store(&self, value: usize, ordering: Ordering) {
        self.0.store(value, ordering);
    }

    #[track_caller]
    pub fn fetch_add(&self, by: usize, ordering: Ordering) -> usize {
        self.0.update(ordering, |value| value.checked_add(by))
    }

    #[track_caller]
    pub fn fetch_sub(&self, by: usize, ordering: Ordering) -> usize {
        self.0.update(ordering, |value| value.checked_sub(by))
    }

    /// Fails only if `change` returns `None`.
    #[track_caller]
    pub fn fetch_update(
        &self,
        set: Ordering,
        _fetch: Ordering,
        mut change: impl FnMut(usize) -> Option<usize>,
    ) -> Result<usize, usize> {
        let mut changed = false;
        let value = self
            .0
            .update(set, |value| change(value).inspect(|_| changed = true));
        if changed { Ok(value) } else { Err(value) }
    }
}

/// As [`std::sync::atomic::AtomicBool`], with the methods that the pool uses.
#[derive(Debug)]
pub struct AtomicBool(Cell);

impl AtomicBool {
    /// Made by one thread, before others can access it.
    pub fn new(value: bool) -> Self {
        Self(Cell::new(value.into()))
    }

    #[track_caller]
    pub fn load(&self, ordering: Ordering) -> bool {
        self.0.load(ordering) != 0
    }

    #[track_caller]
    pub fn store(&self, value: bool, ordering: Ordering) {
        self.0.store(value.into(), ordering);
    }

    #[track_caller]
    pub fn swap(&self, value: bool, ordering: Ordering) -> bool {
        self.0.update(ordering, |_| Some(value.into())) != 0
    }
}
