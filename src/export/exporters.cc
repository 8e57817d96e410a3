#include "export/exporters.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "export/registry.h"

namespace tailgate {
namespace {

std::string known_types() {
  std::string out;
  for (const ExporterType& t : exporter_types()) {
    if (!out.empty()) out += ", ";
    out += t.type;
  }
  return out;
}

}  // namespace

std::unique_ptr<Exporters> Exporters::make(const ConfigNode& node, ByteBudget& budget,
                                           const ExportersOptions& options) {
  std::unique_ptr<Exporters> made(new Exporters(budget));
  ExporterDefaults defaults;
  defaults.queue_bytes_max = budget.cap(Holder::kQueues);
  defaults.user_agent = "Tailgate/" + options.version;
  const std::uint64_t seed = options.seed != 0 ? options.seed : random_seed();
  const auto entries = node.entries();
  if (entries.empty()) node.error("want at least one exporter");
  if (entries.size() > kExportersMax) node.error(fmt::format("want at most {} exporters", kExportersMax));
  for (const auto& [name, at] : entries) {
    const ExporterType* type = find_exporter_type(std::string_view(name).substr(0, name.find('/')));
    if (type == nullptr || name.ends_with('/')) {
      at.error(fmt::format("want an exporter named TYPE or TYPE/NAME, TYPE one of {}", known_types()));
      continue;
    }
    ExporterParts parts = type->read(at, defaults);
    std::vector<std::string> policies = at.texts("policies");
    at.finish();
    if (parts.exporter == nullptr) continue;
    parts.queue.seed = seed + made->runners_.size() * 0x9e3779b97f4a7c15ULL;
    made->runners_.push_back(std::make_unique<ExportRunner>(name, std::move(parts.exporter), parts.queue));
    made->policies_.push_back(std::move(policies));
    made->endpoints_.push_back(std::move(parts.endpoint));
    made->nodes_.push_back(at);
  }
  return made;
}

Exporters::~Exporters() = default;

std::vector<std::string> Exporters::names() const {
  std::vector<std::string> out;
  for (const auto& r : runners_) out.push_back(r->name());
  return out;
}

void Exporters::observe(const ExportObserver& observer) {
  for (const auto& r : runners_) r->observe(observer);
}

Result<void> Exporters::start() {
  for (const auto& r : runners_) {
    if (Result<void> started = r->start(); !started) {
      return fail(started.error().kind, fmt::format("exporter {}: {}", r->name(), started.error().text));
    }
  }
  return {};
}

void Exporters::push(const KeptTracePtr& trace, TimePoint now) {
  for (std::size_t i = 0; i < runners_.size(); ++i) {
    if ((trace->exporters >> i & 1) != 0) runners_[i]->push(trace, now);
  }
}

bool Exporters::make_room(std::size_t bytes, bool by_chance) {
  const std::size_t cap = budget_.cap(Holder::kQueues);
  if (bytes > cap) return false;
  while (budget_.used(Holder::kQueues) + bytes > cap) {
    // Certain keeps go only when nothing kept by chance waits anywhere, and never for one kept by chance.
    ExportRunner* fullest = nullptr;
    for (const bool only_chance : {true, false}) {
      if (fullest != nullptr || (!only_chance && by_chance)) break;
      std::size_t most = 0;
      for (const auto& r : runners_) {
        const std::size_t waiting = r->waiting_bytes(only_chance);
        if (waiting <= most) continue;
        fullest = r.get();
        most = waiting;
      }
    }
    if (fullest == nullptr) return false;
    fullest->evict_one();
  }
  return true;
}

void Exporters::drain(TimePoint deadline, TimePoint now) {
  for (const auto& r : runners_) r->begin_drain(deadline, now);
  for (const auto& r : runners_) r->join();
}

void Exporters::collect(MetricWriter& writer) const {
  for (const auto& r : runners_) {
    const QueueStats s = r->stats();
    const std::string& name = r->name();
    const auto number = [](std::uint64_t v) { return static_cast<double>(v); };
    writer.add(metric::kExportRoutedSpans, {name}, number(s.routed_spans));
    writer.add(metric::kExportSpans, {name}, number(s.sent_spans));
    writer.add(metric::kExportBytes, {name}, number(s.sent_bytes));
    writer.add(metric::kExportQueueSpans, {name}, number(s.queued_spans));
    writer.add(metric::kExportQueueBytes, {name}, number(s.queued_bytes));
    for (std::size_t i = 0; i < kFailReasonNames.size(); ++i) {
      writer.add(metric::kExportFailedSpans, {name, kFailReasonNames[i]}, number(s.failed_spans[i]));
      writer.add(metric::kExportFailures, {name, kFailReasonNames[i]}, number(s.failures[i]));
    }
    for (std::size_t i = 0; i < kDropReasonNames.size(); ++i) {
      writer.add(metric::kExportDroppedSpans, {name, kDropReasonNames[i]}, number(s.dropped_spans[i]));
    }
  }
}

}  // namespace tailgate
