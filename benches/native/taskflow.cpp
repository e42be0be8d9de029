// C++ Taskflow on the graphs of rust/dataflow-bench, edge for edge, with a task that stores a number and does nothing
// else. A taskflow is built once and run again and again; threads are pinned to cores of their own.
//
//   taskflow NODES RUNS      a line of JSON for each graph on one thread and on two: nanoseconds a node of each run

#include <pthread.h>
#include <sched.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <taskflow/taskflow.hpp>
#include <vector>

namespace {

// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, OOPSLA 2014).
std::uint32_t random_of(std::uint32_t seed) {
    std::uint64_t bits = std::uint64_t{seed} * 0x9E3779B97F4A7C15u;
    bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9u;
    bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EBu;
    return static_cast<std::uint32_t>(bits ^ (bits >> 31));
}

std::vector<std::uint32_t> before(const std::string& shape, std::uint32_t node) {
    constexpr std::uint32_t width = 100;
    if (node == 0) return {};
    if (shape == "chain") return {node - 1};
    if (shape == "wide") return {0};
    if (shape == "tree") return {(node - 1) / 2};
    if (shape == "random") {
        return {random_of(node * 3) % node, random_of(node * 3 + 1) % node, random_of(node * 3 + 2) % node};
    }
    if (node < width) return {};
    const std::uint32_t above = node - width;
    std::vector<std::uint32_t> taken;
    if (node % width != 0) taken.push_back(above - 1);
    taken.push_back(above);
    if (node % width != width - 1) taken.push_back(above + 1);
    return taken;
}

void build(tf::Taskflow& graph, const std::string& shape, std::uint32_t nodes, std::vector<std::uint32_t>& slots) {
    std::vector<tf::Task> tasks;
    tasks.reserve(nodes);
    for (std::uint32_t node = 0; node < nodes; ++node) {
        std::uint32_t* slot = &slots[node];
        tasks.push_back(graph.emplace([slot] { *slot += 1; }));
        for (const std::uint32_t source : before(shape, node)) tasks[source].precede(tasks[node]);
    }
}

void pin(pthread_t thread, unsigned core) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    // Where it is not allowed, the threads stay where the system puts them.
    (void)pthread_setaffinity_np(thread, sizeof one, &one);
}

class Pinned : public tf::WorkerInterface {
   public:
    void scheduler_prologue(tf::Worker& worker) override { pin(pthread_self(), static_cast<unsigned>(worker.id())); }
    void scheduler_epilogue(tf::Worker&, std::exception_ptr) override {}
};

}  // namespace

int main(int count, char** arguments) {
    if (count != 3) {
        std::fprintf(stderr, "usage: taskflow NODES RUNS\n");
        return 2;
    }
    const auto nodes = static_cast<std::uint32_t>(std::strtoul(arguments[1], nullptr, 10));
    const auto runs = static_cast<std::uint32_t>(std::strtoul(arguments[2], nullptr, 10));
    for (const std::string shape : {"chain", "wide", "stencil", "tree", "random"}) {
        for (const unsigned threads : {1u, 2u}) {
            std::vector<std::uint32_t> slots(nodes);
            tf::Taskflow graph;
            build(graph, shape, nodes, slots);
            tf::Executor executor(threads, std::make_shared<Pinned>());
            executor.run(graph).wait();
            std::printf(R"({"shape": "%s", "threads": %u, "nanoseconds": [)", shape.c_str(), threads);
            for (std::uint32_t run = 0; run < runs; ++run) {
                const auto began = std::chrono::steady_clock::now();
                executor.run(graph).wait();
                const std::chrono::duration<double, std::nano> taken = std::chrono::steady_clock::now() - began;
                std::printf("%s%.2f", run ? ", " : "", taken.count() / nodes);
            }
            std::printf("]}\n");
            for (const std::uint32_t slot : slots) {
                if (slot != runs + 1) {
                    std::fprintf(stderr, "a task ran %u times, not %u\n", slot, runs + 1);
                    return 1;
                }
            }
        }
    }
}
