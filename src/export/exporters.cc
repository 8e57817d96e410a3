#include "export/exporters.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

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

// `dead_letter: {path: FILE, max_megabytes: 100, ...}`; null when it is not there.
std::unique_ptr<DeadLetters> read_dead_letters(const ConfigNode& exporter) {
  const ConfigNode node = exporter.child("dead_letter");
  if (node.is_null()) return nullptr;
  const std::string path = node.text("path");
  if (path.empty()) node.error("path", "want the path of a file");
  RotationOptions rotation;
  rotation.backups_max = 10;
  read_rotation(node, rotation);
  node.finish();
  return path.empty() ? nullptr : std::make_unique<DeadLetters>(path, rotation);
}

// `attributes: {KEY: VALUE or list}`.
std::vector<std::pair<std::string, std::vector<std::string>>> read_attributes(const ConfigNode& exporter) {
  std::vector<std::pair<std::string, std::vector<std::string>>> out;
  const ConfigNode wanted = exporter.child("attributes");
  for (const auto& [key, value] : wanted.entries()) {
    out.emplace_back(key, value.is_list() ? wanted.texts(key) : std::vector<std::string>{value.scalar()});
    if (out.back().second.empty()) value.error("want a value, or a list of values");
  }
  return out;
}

}  // namespace

// One exporter as it was read, before it has a runner.
struct Exporters::Part {
  std::string name;
  std::unique_ptr<Exporter> exporter;
  SendQueueOptions queue;
  std::unique_ptr<DeadLetters> dead_letters;
};

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
  std::vector<Part> all;
  for (const auto& [name, at] : entries) {
    const ExporterType* type = find_exporter_type(std::string_view(name).substr(0, name.find('/')));
    if (type == nullptr || name.ends_with('/')) {
      at.error(fmt::format("want an exporter named TYPE or TYPE/NAME, TYPE one of {}", known_types()));
      continue;
    }
    ExporterParts parts = type->read(at, defaults);
    std::vector<std::string> policies = at.texts("policies");
    std::vector<std::string> services = at.texts("services");
    auto attributes = read_attributes(at);
    std::unique_ptr<DeadLetters> dead_letters = read_dead_letters(at);
    at.finish();
    if (parts.exporter == nullptr) continue;
    parts.queue.seed = seed + all.size() * 0x9e3779b97f4a7c15ULL;
    all.push_back({name, std::move(parts.exporter), parts.queue, std::move(dead_letters)});
    made->policies_.push_back(std::move(policies));
    made->services_.push_back(std::move(services));
    made->attributes_.push_back(std::move(attributes));
    made->endpoints_.push_back(std::move(parts.endpoint));
    made->nodes_.push_back(at);
  }
  std::vector<DurableSeat> seats = made->shelve(all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    made->runners_.push_back(std::make_unique<ExportRunner>(all[i].name, std::move(all[i].exporter), all[i].queue,
                                                            std::move(all[i].dead_letters), std::move(seats[i])));
  }
  return made;
}

std::vector<DurableSeat> Exporters::shelve(std::vector<Part>& all) {
  std::map<std::string, std::vector<std::size_t>> by_directory;  // however it is written; places in `all`
  std::size_t durable = 0;
  for (std::size_t i = 0; i < all.size() && i < kExportersMax; ++i) {
    if (all[i].queue.durable.directory.empty()) continue;
    std::string directory = std::filesystem::path(all[i].queue.durable.directory).lexically_normal().string();
    if (directory.size() > 1 && directory.back() == '/') directory.pop_back();
    by_directory[directory].push_back(i);
    ++durable;
  }
  // Half the memory for queues is left for what is not on disk yet: a dead backend must not cost the disk its room.
  const std::size_t quarter = budget_.cap(Holder::kQueues) / 4;
  for (Part& part : all) {
    DurableOptions& d = part.queue.durable;
    d.memory_max = std::min(d.memory_max, quarter / std::max<std::size_t>(1, by_directory.size()));
    d.window_max = std::min(d.window_max, quarter / std::max<std::size_t>(1, durable));
  }
  std::vector<DurableSeat> seats(all.size());
  for (const auto& [directory, places] : by_directory) {
    Shelf shelf;
    shelf.seat_of.resize(kExportersMax);
    std::vector<DurableStore::Member> members;
    std::size_t bytes = 64 << 20;
    for (const std::size_t i : places) {
      shelf.members |= std::uint64_t{1} << i;
      shelf.seat_of[i] = static_cast<std::uint8_t>(members.size());
      members.push_back({all[i].name, all[i].queue.durable});
      // Freed room is used again, but not at once and not to the last page.
      bytes += 2 * all[i].queue.durable.bytes_max;
    }
    shelf.store = std::make_shared<DurableStore>(std::move(members), make_kept_log(directory, bytes));
    for (const std::size_t i : places) seats[i] = {shelf.store, shelf.seat_of[i]};
    durable_ |= shelf.members;
    shelves_.push_back(std::move(shelf));
  }
  return seats;
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
  for (const Shelf& shelf : shelves_) {
    std::uint64_t wanted = 0;
    for (std::uint64_t bits = trace->exporters & shelf.members; bits != 0; bits &= bits - 1)
      wanted |= std::uint64_t{1} << shelf.seat_of[static_cast<std::size_t>(__builtin_ctzll(bits))];
    if (wanted != 0) shelf.store->push(trace, wanted);
  }
  const std::uint64_t direct = trace->exporters & ~durable_;
  for (std::size_t i = 0; i < runners_.size(); ++i) {
    if ((direct >> i & 1) != 0) runners_[i]->push(trace, now);
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
  for (const Shelf& shelf : shelves_) shelf.store->stop();
}

void Exporters::collect(MetricWriter& writer, const std::vector<std::string>& policies) const {
  const std::size_t reasons = kFailReasonNames.size() + kDropReasonNames.size();
  const bool zeros = runners_.size() * policies.size() * reasons <= kLostSeriesMax;
  for (const auto& r : runners_) {
    const ExportRunner::Stats s = r->stats();
    const std::string& name = r->name();
    const auto number = [](std::uint64_t v) { return static_cast<double>(v); };
    writer.add(metric::kExportRoutedSpans, {name}, number(s.routed_spans));
    writer.add(metric::kExportSpans, {name}, number(s.sent_spans));
    writer.add(metric::kExportBytes, {name}, number(s.sent_bytes));
    writer.add(metric::kExportQueueSpans, {name}, number(s.queued_spans));
    writer.add(metric::kExportQueueBytes, {name}, number(s.queued_bytes));
    writer.add(metric::kExportQueueCapacity, {name}, number(s.capacity_bytes));
    for (std::size_t i = 0; i < kFailReasonNames.size(); ++i) {
      writer.add(metric::kExportFailedSpans, {name, kFailReasonNames[i]}, number(s.failed_spans[i]));
      writer.add(metric::kExportFailures, {name, kFailReasonNames[i]}, number(s.failures[i]));
    }
    for (std::size_t i = 0; i < kDropReasonNames.size(); ++i) {
      writer.add(metric::kExportDroppedSpans, {name, kDropReasonNames[i]}, number(s.dropped_spans[i]));
    }
    auto by_policy = s.lost_spans;
    for (std::size_t p = 0; zeros && p < policies.size(); ++p) by_policy[policies[p]];
    for (const auto& [policy, lost] : by_policy) {
      for (std::size_t i = 0; i < lost.size(); ++i) {
        if (lost[i] == 0 && !zeros) continue;
        const std::size_t fails = kFailReasonNames.size();
        writer.add(metric::kExportLostSpans,
                   {name, policy, i < fails ? kFailReasonNames[i] : kDropReasonNames[i - fails]}, number(lost[i]));
      }
    }
    writer.add(metric::kExportOldestSeconds, {name}, std::chrono::duration<double>(s.behind).count());
    writer.add(metric::kExportConcurrencyLimit, {name}, number(s.concurrency_limit));
    writer.add(metric::kExportCircuitOpen, {name}, s.circuit_open ? 1 : 0);
    writer.add(metric::kExportDurableBytes, {name}, number(s.durable_bytes));
    writer.add(metric::kExportCutItems, {name, "attributes"}, number(s.cut.attributes));
    writer.add(metric::kExportCutItems, {name, "events"}, number(s.cut.events));
    writer.add(metric::kExportCutItems, {name, "links"}, number(s.cut.links));
    writer.add(metric::kExportCutItems, {name, "values"}, number(s.cut.values));
    if (s.failovers) writer.add(metric::kExportFailovers, {name}, number(*s.failovers));
    if (s.files) {
      writer.add(metric::kExportFiles, {name}, number(s.files->files));
      writer.add(metric::kExportFileBytes, {name}, number(s.files->bytes));
    }
    writer.add(metric::kExportDurableErrors, {name, "write"}, number(s.durable_write_errors));
    writer.add(metric::kExportDurableErrors, {name, "read"}, number(s.durable_read_errors));
    writer.add(metric::kExportDeadLetterSpans, {name, "written"}, number(s.dead_letter_spans));
    writer.add(metric::kExportDeadLetterSpans, {name, "failed"}, number(s.dead_letter_failed_spans));
  }
}

}  // namespace tailgate
