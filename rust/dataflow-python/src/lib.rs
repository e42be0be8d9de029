//! The Python binding of `dataflow-core`: converts, calls, converts.

use pyo3::prelude::*;

mod arrays;
mod attempt;
mod body;
mod builder;
mod bulk;
mod call;
mod channels;
mod checks;
mod clock_source;
mod commits;
mod companion;
mod composition;
mod conclude;
mod convoy;
mod dimensions;
mod events;
mod expansion;
mod fence;
mod frame;
mod functions;
mod gate;
mod gather;
mod guest;
mod host;
mod interpreters;
mod isolation;
mod items;
mod kept;
mod kinds;
mod layout;
mod limits;
mod live;
mod map_content;
mod map_spec;
mod missing;
mod native_threads;
mod node_spec;
mod nodes;
mod operation_base;
mod operations;
mod places;
mod plan;
mod port_calls;
mod python_errors;
mod quick_method;
mod reading;
mod registry;
mod remote;
mod results;
mod resuming;
mod retention;
mod run;
mod run_program;
mod scalar_records;
mod shared_memory;
mod sources;
mod stacks;
mod stand_in;
mod states;
mod survey;
mod timed;
mod value_sizes;
mod weak_registry;
mod workers;

/// The native core of execution_dataflow.
// A function and not a module with exports: the check must come before any class is made.
#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    interpreters::refuse_other_than_main()?;
    clock_source::choose();
    kept::make_what_pyo3_keeps(module.py())?;
    module.add_class::<attempt::Attempt>()?;
    module.add_class::<builder::GraphBuilder>()?;
    module.add_class::<companion::Companion>()?;
    module.add_class::<events::EventQueue>()?;
    module.add_class::<frame::FrameInfo>()?;
    module.add_class::<operation_base::OperationBase>()?;
    operation_base::add_quick_methods(module.py())?;
    module.add_class::<layout::PortLayout>()?;
    module.add_class::<limits::Limits>()?;
    module.add_class::<missing::Missing>()?;
    module.add_class::<map_spec::MapSpec>()?;
    module.add_class::<node_spec::NodeSpec>()?;
    module.add_class::<plan::PyPlan>()?;
    module.add_class::<remote::RemoteAttempt>()?;
    module.add_class::<run::PyRun>()?;
    module.add_class::<shared_memory::ledger::Ledger>()?;
    module.add_class::<shared_memory::lease::Lease>()?;
    #[cfg(target_os = "linux")]
    module.add_class::<shared_memory::mapping::Mapping>()?;
    module.add_class::<survey::Survey>()?;
    module.add_class::<weak_registry::WeakRegistry>()?;
    module.add_function(wrap_pyfunction!(companion::dismiss_companions, module)?)?;
    module.add_function(wrap_pyfunction!(fence::memory_fence, module)?)?;
    module.add_function(wrap_pyfunction!(frame::current_frame, module)?)?;
    module.add_function(wrap_pyfunction!(guest::execute_attempt, module)?)?;
    module.add_function(wrap_pyfunction!(native_threads::note_native_limit, module)?)?;
    module.add_function(wrap_pyfunction!(port_calls::intern_ports, module)?)?;
    module.add_function(wrap_pyfunction!(resuming::restorable, module)?)?;
    module.add_function(wrap_pyfunction!(resuming::restore, module)?)?;
    module.add_function(wrap_pyfunction!(resuming::wanted_outputs, module)?)?;
    module.add_function(wrap_pyfunction!(scalar_records::scalar_record, module)?)?;
    module.add_function(wrap_pyfunction!(states::legal_moves, module)?)?;
    module.add_function(wrap_pyfunction!(workers::forget_pool, module)?)?;
    module.add_function(wrap_pyfunction!(workers::note_main_thread, module)?)?;
    module.add_function(wrap_pyfunction!(workers::post_exception, module)?)?;
    module.add_function(wrap_pyfunction!(workers::resize_pool, module)?)?;
    module.add_function(wrap_pyfunction!(workers::serve, module)?)?;
    module.add_function(wrap_pyfunction!(workers::serving_threads, module)?)?;
    module.add_function(wrap_pyfunction!(workers::worker_gone, module)?)?;
    operations::install(module.py())?;
    module.add("MAX_WORKERS", workers::MAX_WORKERS)?;
    module.add("MISSING", missing::Missing::object(module.py())?)
}
