//! The Python binding of `dataflow-core`: converts, calls, converts.

use pyo3::prelude::*;

mod arrays;
mod attempt;
mod body;
mod call;
mod checks;
mod conclude;
mod events;
mod frame;
mod gate;
mod gather;
mod missing;
mod node_spec;
mod plan;
mod python_errors;
mod run;
mod topology;
mod workers;

/// The native core of execution_dataflow.
#[pymodule(gil_used = false)]
#[allow(missing_docs)]
mod _core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::attempt::Attempt;
    #[pymodule_export]
    use crate::events::EventQueue;
    #[pymodule_export]
    use crate::frame::{FrameInfo, OperationBase, current_frame};
    #[pymodule_export]
    use crate::missing::Missing;
    #[pymodule_export]
    use crate::node_spec::NodeSpec;
    #[pymodule_export]
    use crate::plan::PyPlan;
    #[pymodule_export]
    use crate::run::{PyRun, legal_moves};
    #[pymodule_export]
    use crate::topology::Topology;
    #[pymodule_export]
    use crate::workers::{forget_pool, post_exception, resize_pool, serve, serving_threads, worker_gone};

    #[pymodule_export]
    const MAX_WORKERS: usize = crate::workers::MAX_WORKERS;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("MISSING", Missing::object(module.py())?)
    }
}
