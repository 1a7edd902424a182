//! What the calculator may use: a few bytes of expression can ask for any amount of work and memory
//! (a function that calls twice a function that calls twice a function).

use std::cell::Cell;
use std::rc::Rc;

/// Parts that one call may evaluate, functions' bodies included.
const STEPS_MAX: usize = 250_000;

/// Parts that one connection may have under way at a time.
const STEPS_UNDER_WAY_MAX: usize = 10_000;

/// Parts of the functions that one connection may hold.
const NODES_HELD_MAX: usize = 64 << 10;

/// After so many steps other connections have a turn.
const STEPS_BETWEEN_TURNS: usize = 256;

/// What one connection uses.
#[derive(Default)]
pub(super) struct Budget {
    under_way: Cell<usize>,
    held: Cell<usize>,
}

/// The steps of one call.
pub(super) struct Steps<'a> {
    budget: &'a Budget,
    taken: Cell<usize>,
}

/// A step that is under way.
pub(super) struct Step<'a>(&'a Budget);

/// Memory that a function holds.
pub(super) struct Hold {
    budget: Rc<Budget>,
    nodes: usize,
}

impl Budget {
    pub(super) fn hold(self: &Rc<Self>, nodes: usize) -> Result<Hold, capnp::Error> {
        let held = self.held.get() + nodes;
        if held > NODES_HELD_MAX {
            return Err(capnp::Error::overloaded(format!(
                "the functions of this connection have more than {NODES_HELD_MAX} parts: drop some first"
            )));
        }
        self.held.set(held);
        Ok(Hold { budget: self.clone(), nodes })
    }
}

impl<'a> Steps<'a> {
    pub(super) fn new(budget: &'a Budget) -> Self {
        Steps { budget, taken: Cell::new(0) }
    }

    pub(super) async fn take(&self) -> Result<Step<'a>, capnp::Error> {
        let taken = self.taken.get() + 1;
        self.taken.set(taken);
        if taken > STEPS_MAX {
            return Err(capnp::Error::overloaded(format!(
                "the expression takes more than {STEPS_MAX} steps: evaluate a part and go on with its result"
            )));
        }
        let under_way = self.budget.under_way.get();
        if under_way >= STEPS_UNDER_WAY_MAX {
            return Err(capnp::Error::overloaded(format!(
                "this connection evaluates more than {STEPS_UNDER_WAY_MAX} parts of expressions at a time: \
                 wait for some of them"
            )));
        }
        self.budget.under_way.set(under_way + 1);
        let step = Step(self.budget);
        if taken.is_multiple_of(STEPS_BETWEEN_TURNS) {
            tokio::task::yield_now().await;
        }
        Ok(step)
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.budget.held.set(self.budget.held.get() - self.nodes);
    }
}
