//! An attempt that its worker has left live, and that any thread may end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;

use crate::body::CoreRun;
use crate::conclude::{self, Via};
use crate::frame::{Frame, Values};
use crate::items::{self, Outcome};

/// The frame of such an attempt, its run, and whether it has ended.
pub(crate) struct LiveAttempt {
    run: Arc<CoreRun>,
    frame: Box<Frame>,
    ended: AtomicBool,
}

impl LiveAttempt {
    pub(crate) fn new(run: &Arc<CoreRun>, frame: Frame) -> Self {
        Self { run: run.clone(), frame: Box::new(frame), ended: AtomicBool::new(false) }
    }

    pub(crate) fn run(&self) -> &Arc<CoreRun> {
        &self.run
    }

    /// What the attempt reads and writes. Inputs that the frame does not own are there until the attempt ends.
    pub(crate) fn frame(&self) -> &Frame {
        &self.frame
    }

    /// Whether it has no outcome yet. Acquire: pairs with `end`.
    pub(crate) fn is_live(&self) -> bool {
        !self.ended.load(Ordering::Acquire)
    }

    /// `true` for the one caller that ends it. AcqRel: pairs with itself and with `is_live`.
    pub(crate) fn end(&self) -> bool {
        !self.ended.swap(true, Ordering::AcqRel)
    }

    /// Gives the outcome; for the one that ended it.
    pub(crate) fn conclude(&self, py: Python<'_>, outputs: PyResult<Values>) {
        let (task, attempt) = (self.frame.task, self.frame.attempt);
        match outputs {
            Ok(outputs) => conclude::succeed(py, &self.run, task, attempt, outputs, Via::Elsewhere),
            Err(error) if task.instance.is_items() => {
                let outcome = Outcome::Failed(error);
                let pulled = items::pulled(py, &self.run, &self.frame);
                items::conclude(py, &self.run, task, attempt, outcome, pulled, Via::Elsewhere);
            }
            Err(error) => conclude::fail(py, &self.run, task, attempt, error, None, Via::Elsewhere),
        }
    }

    /// Takes it back: nobody has begun it; for the one that ended it. An item that has not begun is one that was cancelled.
    pub(crate) fn withdraw(&self, py: Python<'_>) {
        let task = self.frame.task;
        if task.instance.is_items() {
            return self.cancel(py);
        }
        // The scheduler tells of the end, and calls what comes next, as of any other that did not start.
        self.run.withdraw(task, self.frame.attempt);
    }

    /// Ends it as one whose run was cancelled; for the one that ended it.
    pub(crate) fn cancel(&self, py: Python<'_>) {
        conclude::cancel(py, &self.run, self.frame.task, self.frame.attempt, Via::Elsewhere);
    }
}
