/* The floor: the hand-written loop in C, calling Python functions by vectorcall, and what one clock read and one copy
 * of the context cost on top of it for each node.
 *
 *   run(plan, inputs, clock, context) -> the slots
 *
 * plan: a list of functions. inputs: a list of tuples of ints, the slots that each takes (16 at most).
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <time.h>

#define MOST_INPUTS 16

typedef struct {
    PyObject *function;
    Py_ssize_t count;
    Py_ssize_t inputs[MOST_INPUTS];
} Node;

typedef struct {
    PyObject_HEAD
    Py_ssize_t count;
    Node *nodes;
    PyObject **slots;
} Plan;

static void empty(Plan *self)
{
    for (Py_ssize_t node = 0; node < self->count; node++) {
        Py_CLEAR(self->slots[node]);
    }
}

static void plan_dealloc(Plan *self)
{
    empty(self);
    for (Py_ssize_t node = 0; node < self->count; node++) {
        Py_XDECREF(self->nodes[node].function);
    }
    PyMem_Free(self->nodes);
    PyMem_Free(self->slots);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static int plan_init(Plan *self, PyObject *args, PyObject *kwargs)
{
    PyObject *functions, *inputs;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "O!O!", &PyList_Type, &functions, &PyList_Type, &inputs)) {
        return -1;
    }
    Py_ssize_t count = PyList_GET_SIZE(functions);
    if (PyList_GET_SIZE(inputs) != count) {
        PyErr_SetString(PyExc_ValueError, "one tuple of inputs for each function");
        return -1;
    }
    self->nodes = PyMem_Calloc(count ? count : 1, sizeof(Node));
    self->slots = PyMem_Calloc(count ? count : 1, sizeof(PyObject *));
    if (self->nodes == NULL || self->slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    self->count = count;
    for (Py_ssize_t node = 0; node < count; node++) {
        PyObject *taken = PyList_GET_ITEM(inputs, node);
        Node *made = &self->nodes[node];
        if (!PyTuple_Check(taken) || PyTuple_GET_SIZE(taken) > MOST_INPUTS) {
            PyErr_SetString(PyExc_ValueError, "inputs are tuples of at most 16 slots");
            return -1;
        }
        made->count = PyTuple_GET_SIZE(taken);
        for (Py_ssize_t port = 0; port < made->count; port++) {
            made->inputs[port] = PyLong_AsSsize_t(PyTuple_GET_ITEM(taken, port));
            if (made->inputs[port] < 0 || made->inputs[port] >= node) {
                if (!PyErr_Occurred()) {
                    PyErr_SetString(PyExc_ValueError, "a node takes nodes before it");
                }
                return -1;
            }
        }
        made->function = Py_NewRef(PyList_GET_ITEM(functions, node));
    }
    return 0;
}

static inline PyObject *call(Plan *self, Node *node)
{
    PyObject *values[MOST_INPUTS + 1];
    for (Py_ssize_t port = 0; port < node->count; port++) {
        values[port + 1] = self->slots[node->inputs[port]];
    }
    return PyObject_Vectorcall(node->function, values + 1, node->count | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

static PyObject *plan_run(Plan *self, PyObject *args)
{
    int clock, context;
    long long last = 0;
    struct timespec now = {0, 0};
    if (!PyArg_ParseTuple(args, "pp", &clock, &context)) {
        return NULL;
    }
    empty(self);
    for (Py_ssize_t node = 0; node < self->count; node++) {
        PyObject *entered = NULL;
        if (context) {
            entered = PyContext_CopyCurrent();
            if (entered == NULL || PyContext_Enter(entered) < 0) {
                Py_XDECREF(entered);
                return NULL;
            }
        }
        PyObject *value = call(self, &self->nodes[node]);
        if (context) {
            int left = PyContext_Exit(entered);
            Py_DECREF(entered);
            if (left < 0) {
                Py_XDECREF(value);
                return NULL;
            }
        }
        if (value == NULL) {
            return NULL;
        }
        self->slots[node] = value;
        if (clock) {
            clock_gettime(CLOCK_MONOTONIC, &now);
            last ^= now.tv_nsec;
        }
    }
    return PyLong_FromLongLong(last);
}

static PyObject *plan_value(Plan *self, PyObject *args)
{
    Py_ssize_t node;
    if (!PyArg_ParseTuple(args, "n", &node)) {
        return NULL;
    }
    if (node < 0 || node >= self->count || self->slots[node] == NULL) {
        PyErr_SetString(PyExc_IndexError, "no such value: run it first");
        return NULL;
    }
    return Py_NewRef(self->slots[node]);
}

static PyMethodDef methods[] = {
    {"run", (PyCFunction)plan_run, METH_VARARGS, "run(clock, context): call every node"},
    {"value", (PyCFunction)plan_value, METH_VARARGS, "value(node): what a node gave"},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject PlanType = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "floor_loop.Plan",
    .tp_basicsize = sizeof(Plan),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = (initproc)plan_init,
    .tp_dealloc = (destructor)plan_dealloc,
    .tp_methods = methods,
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "floor_loop", .m_size = -1};

PyMODINIT_FUNC PyInit_floor_loop(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made == NULL || PyModule_AddType(made, &PlanType) < 0) {
        Py_XDECREF(made);
        return NULL;
    }
    return made;
}
