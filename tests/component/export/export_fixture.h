// SPDX-License-Identifier: Apache-2.0
// Exporters made from YAML, kept traces to push, and waiting for what their threads do.
#pragma once

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>
#include <thread>

#include "base/clock.h"
#include "config/config_file.h"
#include "export/exporters.h"
#include "otlp_twin.pb.h"
#include "support/temp_dir.h"

namespace tailgate {

using test::TempDir;

// A trace of `spans` spans named `name` with a trace id made of `id`.
inline KeptTracePtr kept(std::uint8_t id, std::uint32_t spans = 1, const std::string& name = "GET /") {
  twin::TracesData data;
  auto* scope_spans = data.add_resource_spans()->add_scope_spans();
  auto trace = std::make_shared<KeptTrace>();
  trace->id.bytes.fill(static_cast<char>(id));
  for (std::uint32_t i = 0; i < spans; ++i) {
    auto* span = scope_spans->add_spans();
    span->set_trace_id(std::string(trace->id.view()));
    span->set_span_id(std::string(8, static_cast<char>(i + 1)));
    span->set_name(name);
  }
  trace->otlp = data.SerializeAsString();
  trace->spans = spans;
  trace->exporters = ~std::uint64_t{0};
  trace->root_service = "shop";
  trace->root_name = name;
  trace->has_root = true;
  trace->policy = "errors";
  return trace;
}

// Sends a batch by an exporter that has no runner, and waits for its end.
inline SendResult sent(Exporter& exporter, const BatchPtr& batch) {
  exporter.send(batch);
  std::vector<Completion> done;
  for (int i = 0; i < 300 && done.empty(); ++i) exporter.wait(std::chrono::milliseconds(100), done);
  REQUIRE(done.size() == 1);
  CHECK(done[0].batch_id == batch->id);
  return done[0].result;
}

// What DurableStore's log finds when it is opened, where a test does not ask.
inline void ignore_record(std::uint64_t, ByteView, const std::vector<std::uint64_t>&) {}

class Rig {
 public:
  explicit Rig(const std::string& yaml, std::size_t queue_cap = 64 << 20)
      : budget_({0, 0, queue_cap, 0}), document_(*load_config_text(yaml, "t.yaml")) {
    exporters = Exporters::make(document_.root, budget_, {.version = "test", .seed = 1});
    for (const ConfigIssue& e : document_.issues->errors) FAIL(e.message());
    const Result<void> started = exporters->start();
    if (!started) FAIL(started.error().text);
  }

  void push(const KeptTracePtr& trace) { exporters->push(trace, monotonic_now()); }

  // Polls: the exporters' threads are real.
  template <class Condition>
  bool eventually(Condition condition) const {
    for (int i = 0; i < 1000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  bool sent(std::uint64_t spans) const {
    return eventually([&] { return exporters->stats_of(0).sent_spans == spans; });
  }
  bool settled() const {
    return eventually([&] { return exporters->stats_of(0).queued_spans == 0; });
  }
  std::uint64_t failed(FailReason r) const { return exporters->stats_of(0).failed_spans[static_cast<std::size_t>(r)]; }
  std::uint64_t failures(FailReason r) const { return exporters->stats_of(0).failures[static_cast<std::size_t>(r)]; }
  std::uint64_t dropped(DropReason r) const {
    return exporters->stats_of(0).dropped_spans[static_cast<std::size_t>(r)];
  }

  void drain(Duration limit) { exporters->drain(monotonic_now() + limit, monotonic_now()); }

 private:
  ByteBudget budget_;
  ConfigDocument document_;

 public:
  std::unique_ptr<Exporters> exporters;
};

}  // namespace tailgate
