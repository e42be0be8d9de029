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
mod interpreters;
mod isolation;
mod items;
mod map_content;
mod map_spec;
mod missing;
mod node_spec;
mod operation_base;
mod plan;
mod python_errors;
mod results;
mod run;
mod sources;
mod topology;
mod workers;

/// The native core of execution_dataflow.
// A function and not a module with exports: the check must come before any class is made.
#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    interpreters::refuse_other_than_main()?;
    module.add_class::<attempt::Attempt>()?;
    module.add_class::<events::EventQueue>()?;
    module.add_class::<frame::FrameInfo>()?;
    module.add_class::<operation_base::OperationBase>()?;
    operation_base::add_raw_methods(module.py())?;
    module.add_class::<missing::Missing>()?;
    module.add_class::<map_spec::MapSpec>()?;
    module.add_class::<node_spec::NodeSpec>()?;
    module.add_class::<plan::PyPlan>()?;
    module.add_class::<run::PyRun>()?;
    module.add_class::<topology::Topology>()?;
    module.add_function(wrap_pyfunction!(frame::current_frame, module)?)?;
    module.add_function(wrap_pyfunction!(run::legal_moves, module)?)?;
    module.add_function(wrap_pyfunction!(workers::forget_pool, module)?)?;
    module.add_function(wrap_pyfunction!(workers::post_exception, module)?)?;
    module.add_function(wrap_pyfunction!(workers::resize_pool, module)?)?;
    module.add_function(wrap_pyfunction!(workers::serve, module)?)?;
    module.add_function(wrap_pyfunction!(workers::serving_threads, module)?)?;
    module.add_function(wrap_pyfunction!(workers::worker_gone, module)?)?;
    module.add("MAX_WORKERS", workers::MAX_WORKERS)?;
    module.add("MISSING", missing::Missing::object(module.py())?)
}
