// SPDX-License-Identifier: Apache-2.0
#include "export/exporters.h"
#include "config/rotation_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/hash.h"

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
  if (path.empty()) node.error("path", "expected the path of a file");
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
    if (out.back().second.empty()) value.error("expected a value, or a list of values");
  }
  return out;
}

std::string normalised(const std::string& directory) {
  std::string out = std::filesystem::path(directory).lexically_normal().string();
  if (out.size() > 1 && out.back() == '/') out.pop_back();
  return out;
}

}  // namespace

// What a runner is made of.
struct Exporters::Part {
  std::unique_ptr<Exporter> exporter;
  SendQueueOptions queue;
  std::unique_ptr<DeadLetters> dead_letters;
};

// Nothing, with errors recorded, when the exporter cannot be made.
std::optional<Exporters::Part> Exporters::read(const std::string& name, const ConfigNode& node,
                                               const ExporterDefaults& defaults, Entry& entry) {
  const ExporterType* type = find_exporter_type(std::string_view(name).substr(0, name.find('/')));
  if (type == nullptr || name.ends_with('/')) {
    node.error(fmt::format("expected an exporter named TYPE or TYPE/NAME, TYPE one of {}", known_types()));
    return std::nullopt;
  }
  ExporterParts parts = type->read(node, defaults);
  entry.name = name;
  entry.node = node;
  entry.policies = node.texts("policies");
  entry.services = node.texts("services");
  entry.attributes = read_attributes(node);
  entry.endpoint = std::move(parts.endpoint);
  if (!parts.directory.empty()) entry.directory = normalised(parts.directory);
  std::unique_ptr<DeadLetters> dead_letters = read_dead_letters(node);
  node.finish();
  if (parts.exporter == nullptr) return std::nullopt;
  return Part{std::move(parts.exporter), parts.queue, std::move(dead_letters)};
}

std::unique_ptr<Exporters> Exporters::make(const ConfigNode& node, ByteBudget& budget,
                                           const ExportersOptions& options) {
  std::unique_ptr<Exporters> made(new Exporters(budget));
  ExporterDefaults defaults;
  defaults.queue_bytes_max = budget.cap(Holder::kQueues);
  defaults.user_agent = "Tailgate/" + options.version;
  const std::uint64_t seed = options.seed != 0 ? options.seed : random_seed();
  const auto wanted = node.entries();
  if (wanted.empty()) node.error("expected at least one exporter");
  if (wanted.size() > kExportersMax) node.error(fmt::format("expected at most {} exporters", kExportersMax));
  std::vector<Part> parts;  // by exporter, as entries_
  for (const auto& [name, at] : wanted) {
    Entry entry;
    std::optional<Part> part = read(name, at, defaults, entry);
    if (!part) continue;
    for (const Entry& other : made->entries_) {
      if (!entry.directory.empty() && other.directory == entry.directory)
        at.error("directory", fmt::format("expected a directory of its own, '{}' has this one", other.name));
    }
    part->queue.seed = seed + parts.size() * 0x9e3779b97f4a7c15ULL;
    parts.push_back(std::move(*part));
    made->entries_.push_back(std::move(entry));
  }
  std::vector<DurableMembership> memberships = made->make_stores(parts);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    Entry& entry = made->entries_[i];
    entry.runner = std::make_unique<ExportRunner>(entry.name, std::move(parts[i].exporter), parts[i].queue,
                                                  std::move(parts[i].dead_letters), std::move(memberships[i]));
  }
  return made;
}

std::vector<DurableMembership> Exporters::make_stores(std::vector<Part>& parts) {
  std::map<std::string, std::vector<std::size_t>> by_directory;  // normalised; the exporters' numbers
  std::size_t durable = 0;
  for (std::size_t i = 0; i < parts.size() && i < kExportersMax; ++i) {
    if (parts[i].queue.durable.directory.empty()) continue;
    by_directory[normalised(parts[i].queue.durable.directory)].push_back(i);
    ++durable;
  }
  // Half the memory for queues is left for what is not on disk yet: a dead backend must not cost the disk its room.
  const std::size_t quarter = budget_.cap(Holder::kQueues) / 4;
  for (Part& part : parts) {
    DurableOptions& d = part.queue.durable;
    d.memory_max = std::min(d.memory_max, quarter / std::max<std::size_t>(1, by_directory.size()));
    d.window_max = std::min(d.window_max, quarter / std::max<std::size_t>(1, durable));
  }
  std::vector<DurableMembership> memberships(parts.size());
  for (const auto& [directory, numbers] : by_directory) {
    SharedStore shared;
    shared.index_of.resize(kExportersMax);
    std::vector<DurableStore::Member> members;
    std::size_t bytes = 64 << 20;
    for (const std::size_t i : numbers) {
      shared.members |= std::uint64_t{1} << i;
      shared.index_of[i] = static_cast<std::uint8_t>(members.size());
      members.push_back({entries_[i].name, parts[i].queue.durable});
      // The log uses freed room again, but not at once and not to the last page.
      bytes += 2 * parts[i].queue.durable.bytes_max;
    }
    shared.store = std::make_shared<DurableStore>(std::move(members), make_kept_log(directory, bytes));
    for (const std::size_t i : numbers) memberships[i] = {shared.store, shared.index_of[i]};
    durable_ |= shared.members;
    stores_.push_back(std::move(shared));
  }
  return memberships;
}

Exporters::~Exporters() = default;

std::vector<std::string> Exporters::names() const {
  std::vector<std::string> out;
  for (const Entry& e : entries_) out.push_back(e.name);
  return out;
}

void Exporters::observe(const ExportObserver& observer) {
  for (const Entry& e : entries_) e.runner->observe(observer);
}

Result<void> Exporters::start() {
  for (const Entry& e : entries_) {
    if (Result<void> started = e.runner->start(); !started) {
      return fail(started.error().kind, fmt::format("exporter {}: {}", e.name, started.error().text));
    }
  }
  return {};
}

void Exporters::push(const KeptTracePtr& trace, TimePoint now) {
  // Each store that has the trace on disk says so; a queue in memory lets go of it at the end.
  std::uint32_t holders = (trace->exporters & ~durable_) != 0 ? 1 : 0;
  for (const SharedStore& shared : stores_) holders += (trace->exporters & shared.members) != 0 ? 1 : 0;
  trace->delivery.expect(holders);
  for (const SharedStore& shared : stores_) {
    std::uint64_t wanted = 0;
    for (std::uint64_t bits = trace->exporters & shared.members; bits != 0; bits &= bits - 1)
      wanted |= std::uint64_t{1} << shared.index_of[static_cast<std::size_t>(__builtin_ctzll(bits))];
    if (wanted != 0) shared.store->push(trace, wanted);
  }
  const std::uint64_t direct = trace->exporters & ~durable_;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if ((direct >> i & 1) != 0) entries_[i].runner->push(trace, now);
  }
}

void Exporters::follow_paths() {
  for (const Entry& e : entries_) e.runner->follow_paths();
}

bool Exporters::is_short(std::size_t parts) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.runner->is_short(parts); });
}

bool Exporters::make_room(std::size_t bytes, bool by_chance) {
  const std::size_t cap = budget_.cap(Holder::kQueues);
  if (bytes > cap) return false;
  while (budget_.used(Holder::kQueues) + bytes > cap) {
    // Traces kept with certainty go only when none kept by chance waits anywhere, and never for one kept by chance.
    if (!evict_one(true) && (by_chance || !evict_one(false))) return false;
  }
  return true;
}

bool Exporters::evict_one(bool only_chance) {
  // The traces that a full disk refuses go first: they would fill the room of exporters whose backends are well.
  for (const SharedStore& shared : stores_) {
    if (shared.store->evict_unwritten(only_chance)) return true;
  }
  ExportRunner* fullest = nullptr;
  std::size_t most = 0;
  for (const Entry& e : entries_) {
    const std::size_t waiting = e.runner->waiting_bytes(only_chance);
    if (waiting <= most) continue;
    fullest = e.runner.get();
    most = waiting;
  }
  return fullest != nullptr && fullest->evict_one();
}

void Exporters::drain(TimePoint deadline, TimePoint now) {
  for (const Entry& e : entries_) e.runner->begin_drain(deadline, now);
  for (const Entry& e : entries_) e.runner->join();
  for (const SharedStore& shared : stores_) shared.store->stop();
}

bool Exporters::found_damaged_queue() const {
  return std::any_of(stores_.begin(), stores_.end(), [](const SharedStore& s) { return s.store->found_damaged(); });
}

std::vector<std::string> Exporters::damaged_queues() const {
  std::vector<std::string> out;
  for (const SharedStore& shared : stores_) {
    const std::string& directory = shared.store->directory();
    if (const std::string cause = kept_log_damage(directory); !cause.empty())
      out.push_back(
          fmt::format("{}: the durable queue is damaged: {}. A start sets its file aside and takes over what "
                      "can be read",
                      directory, cause));
  }
  return out;
}

std::shared_ptr<StoreReader> Exporters::stored() const {
  for (const Entry& e : entries_) {
    if (std::shared_ptr<StoreReader> reader = e.runner->stored()) return reader;
  }
  return nullptr;
}

void Exporters::collect(MetricWriter& writer, const std::vector<std::string>& policies) const {
  const std::size_t reasons = kFailReasonNames.size() + kDropReasonNames.size();
  const bool zeros = entries_.size() * policies.size() * reasons <= kLostSeriesMax;
  for (const Entry& e : entries_) collect(*e.runner, writer, policies, zeros);
}

void Exporters::collect(const ExportRunner& runner, MetricWriter& writer, const std::vector<std::string>& policies,
                        bool zeros) {
  const ExportRunner::Stats s = runner.stats();
  const std::string& name = runner.name();
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
  writer.add(metric::kExportAsideSpans, {name}, number(s.aside_spans));
  writer.add(metric::kExportDividedBatches, {name}, number(s.divided_batches));
  if (s.request_bytes_max) writer.add(metric::kExportRequestBytesMax, {name}, number(*s.request_bytes_max));
  writer.add(metric::kExportDurableBytes, {name}, number(s.durable_bytes));
  writer.add(metric::kExportDurableDamaged, {name}, s.durable_damaged ? 1 : 0);
  writer.add(metric::kExportCutItems, {name, "attributes"}, number(s.cut.attributes));
  writer.add(metric::kExportCutItems, {name, "events"}, number(s.cut.events));
  writer.add(metric::kExportCutItems, {name, "links"}, number(s.cut.links));
  writer.add(metric::kExportCutItems, {name, "values"}, number(s.cut.values));
  if (s.misdated_spans) writer.add(metric::kExportMisdatedSpans, {name}, number(*s.misdated_spans));
  if (s.failovers) writer.add(metric::kExportFailovers, {name}, number(*s.failovers));
  if (s.files) {
    writer.add(metric::kExportFiles, {name}, number(s.files->files));
    writer.add(metric::kExportFileBytes, {name}, number(s.files->bytes));
  }
  if (s.store) {
    writer.add(metric::kExportStoreBytes, {name}, number(s.store->bytes));
    writer.add(metric::kExportStoreTraces, {name}, number(s.store->traces));
    writer.add(metric::kExportStoreDeleted, {name}, number(s.store->partitions_deleted));
    writer.add(metric::kExportStoreDamaged, {name}, number(s.store->damaged_blocks));
    writer.add(metric::kExportStoreCatalogues, {name}, number(s.store->damaged_catalogues));
  }
  writer.add(metric::kExportDurableErrors, {name, "write"}, number(s.durable_write_errors));
  writer.add(metric::kExportDurableErrors, {name, "read"}, number(s.durable_read_errors));
  writer.add(metric::kExportDeadLetterSpans, {name, "written"}, number(s.dead_letter_spans));
  writer.add(metric::kExportDeadLetterSpans, {name, "failed"}, number(s.dead_letter_failed_spans));
}

}  // namespace tailgate
