// SPDX-License-Identifier: Apache-2.0
#include "signals/service_graph.h"

#include <algorithm>

#include "base/hash.h"
#include "signals/names.h"
#include "wire/otlp/attribute_text.h"
#include "wire/otlp/attribute_value.h"

namespace tailgate {
namespace {

constexpr std::size_t kServerSum = 0, kClientSum = 2, kRequests = 4, kFailed = 5, kFirstBucket = 6;  // words of a block
constexpr std::array<std::string_view, 4> kTypeNames = {"", "messaging_system", "database",
                                                        "virtual_node"};  // EdgeType
// Sides that end under one hold of a shard's lock.
constexpr int kEndsPerLock = 256;
constexpr Duration kSweepNamesEvery = std::chrono::seconds(10);

BlockShape shape_of(const ServiceGraphConfig& config) {
  return {.sums = 2, .counts = 2 + 2 * (config.bounds_ns.size() + 1)};
}

SeriesTableOptions table_options(const ServiceGraphConfig& config, std::size_t parts) {
  return {.series_max = config.edges_max, .shape = shape_of(config), .parts = parts, .life = config.life};
}

std::size_t names_max(const ServiceGraphConfig& config) { return config.edges_max + 1; }

}  // namespace

// Of this thread, for one request: its notes as a list for each shard, and its calls.
struct ServiceGraph::Scratch {
  static constexpr std::uint32_t kNone = UINT32_MAX;

  std::array<std::uint32_t, kShards> first{}, last{};
  std::vector<Call> calls;

  void clear() {
    calls.clear();
    first.fill(kNone);
  }
  void add(GraphNote* notes, std::uint32_t i) {
    const std::size_t shard = notes[i].half.key >> 61;
    notes[i].next = kNone;
    (first[shard] == kNone ? first[shard] : notes[last[shard]].next) = i;
    last[shard] = i;
  }
};

ServiceGraph::ServiceGraph(ServiceGraphConfig config, std::size_t parts, std::uint64_t seed, TimePoint now)
    : config_(std::move(config)),
      seed_(seed),
      origin_(now),
      table_(table_options(config_, parts)),
      names_(names_max(config_), seed),
      names_swept_(now),
      user_(names_.number_of("user")),
      open_since_(now) {
  static_assert(kShards == 8, "Scratch::add takes three bits of the key");
  for (std::size_t i = 0; i < kShards; ++i)
    shards_.push_back(std::make_unique<Shard>((config_.waiting_max + kShards - 1) / kShards));
  for (std::size_t i = 0; i < table_.parts(); ++i)
    names_of_parts_.push_back(std::make_unique<Names>(names_max(config_)));
}

// A pair of the half hour that is not over is a node and a bucket of a map.
std::size_t ServiceGraph::bytes_max(const ServiceGraphConfig& config, std::size_t parts) {
  return SeriesTable::bytes_max(table_options(config, parts)) + GraphNames::bytes_max(names_max(config)) +
         parts * (NumberCache::bytes(names_max(config)) + NumberCache::bytes(Names::kNoRoom)) +
         kShards * HalfEdges::bytes_max(config.waiting_max / kShards + 1) +
         config.edges_max * (kIntervals * sizeof(Pairs::value_type) + 64 + sizeof(Ends));
}

std::uint32_t ServiceGraph::ms_of(TimePoint t) const {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(t - origin_).count());
}

void ServiceGraph::take(GraphNotes& notes, std::size_t part, TimePoint now) {
  if (notes.notes().empty()) return;
  thread_local Scratch scratch;
  scratch.clear();
  name_sides(notes, *names_of_parts_[part], scratch);
  for (std::size_t shard = 0; shard < kShards; ++shard) {
    if (scratch.first[shard] != Scratch::kNone) pair(notes.notes().data(), shard, ms_of(now), scratch);
  }
  count(scratch.calls, part);
}

// Gives sides the numbers of their names; what needs no other side is a call at once.
void ServiceGraph::name_sides(GraphNotes& all, Names& names, Scratch& scratch) {
  const MutexLock lock(names.mutex);
  GraphNote* const notes = all.notes().data();
  const auto count = static_cast<std::uint32_t>(all.notes().size());
  std::uint32_t resource = UINT32_MAX, service = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    GraphNote& note = notes[i];
    HalfEdge& half = note.half;
    if (note.resource != resource) {
      resource = note.resource;
      const GraphResource& of = all.resource_of(note);
      service = number_of(of.hash, names, of.service, {});
    }
    if (service == 0) {
      ++names.dropped;
      continue;
    }
    half.service = service;
    if (note.peer.data() != nullptr) half.peer = number_of(note.peer_hash, names, {}, note.peer);
    if (note.database && half.peer != 0) {
      scratch.calls.push_back(
          {service, half.peer, EdgeType::kDatabase, half.failed, true, true, half.duration_ns, half.duration_ns});
    } else if (half.key != 0) {
      shards_[half.key >> 61]->prefetch(half.key);
      scratch.add(notes, i);
    } else if (config_.virtual_nodes) {
      scratch.calls.push_back({user_, service, EdgeType::kVirtual, half.failed, false, true, 0, half.duration_ns});
    }
  }
}

// Of a text, or of the value of an attribute. 0: there is no room for more names.
std::uint32_t ServiceGraph::number_of(std::uint64_t hash, Names& names, ByteView text, ByteView attribute) {
  if (const std::uint32_t known = names.numbers.find(hash); known != NumberCache::kUnknown) return known;
  if (names.no_room.find(hash) == 0) return 0;
  std::string value;
  if (attribute.data() != nullptr) {
    const AttributeValue of = attribute_value(attribute);
    text = of.bytes;
    if (of.kind != AttributeValue::Kind::kString) {
      append_attribute_text(value, of);
      text = value;
    }
  }
  const std::uint32_t number = names_.number_of(text);
  (number == 0 ? names.no_room : names.numbers).remember(hash, number);
  return number;
}

void ServiceGraph::pair(const GraphNote* notes, std::size_t index, std::uint32_t now_ms, Scratch& scratch) {
  Shard& shard = *shards_[index];
  const MutexLock lock(shard.mutex);
  for (std::uint32_t i = scratch.first[index]; i != Scratch::kNone; i = notes[i].next) {
    const HalfEdge& half = notes[i].half;
    const HalfEdge* other = nullptr;
    HalfEdges::Added added = shard.halves.add(half, now_ms, other);
    if (added == HalfEdges::Added::kFull) {
      const auto ttl_ms = static_cast<std::uint32_t>(config_.ttl / std::chrono::milliseconds(1));
      const auto old = shard.halves.take_old(now_ms - ttl_ms);
      if (old) {
        end_one(*old, shard, scratch.calls);
        added = shard.halves.add(half, now_ms, other);
      }
    }
    if (added == HalfEdges::Added::kPaired) scratch.calls.push_back(joined(half, *other));
    shard.replaced += added == HalfEdges::Added::kReplaced;
    shard.dropped += added == HalfEdges::Added::kFull;
  }
}

ServiceGraph::Call ServiceGraph::joined(const HalfEdge& a, const HalfEdge& b) {
  const HalfEdge& client = a.client ? a : b;
  const HalfEdge& server = a.client ? b : a;
  const bool messaging = a.type == EdgeType::kMessaging || b.type == EdgeType::kMessaging;
  return {client.service,
          server.service,
          messaging ? EdgeType::kMessaging : EdgeType::kPlain,
          client.failed || server.failed,
          true,
          true,
          client.duration_ns,
          server.duration_ns};
}

// A client's call of something that sends no spans is an edge to what its attributes name. All else is only counted.
void ServiceGraph::end_one(const HalfEdge& half, Shard& shard, std::vector<Call>& calls) {
  if (half.client && half.peer != 0 && config_.virtual_nodes) {
    calls.push_back({half.service, half.peer, EdgeType::kVirtual, half.failed, true, false, half.duration_ns, 0});
  } else {
    ++shard.expired;
  }
}

void ServiceGraph::end_waiting(TimePoint now) {
  const std::uint32_t until_ms = ms_of(now - config_.ttl);
  std::vector<Call> calls;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    for (bool more = now - config_.ttl >= origin_; more;) {
      const MutexLock lock(shard->mutex);
      for (int i = 0; i < kEndsPerLock && more; ++i) {
        const std::optional<HalfEdge> old = shard->halves.take_old(until_ms);
        if (old) end_one(*old, *shard, calls);
        more = old.has_value();
      }
    }
    count(calls, 0);
    calls.clear();
  }
}

void ServiceGraph::count_one(std::uint64_t* block, const Call& call) const {
  ++block[kRequests];
  block[kFailed] += call.failed;
  if (call.server_seen) {
    add_sum(block + kServerSum, call.server_ns);
    ++block[kFirstBucket + bucket_of(config_.bounds_ns, call.server_ns)];
  }
  if (call.client_seen) {
    add_sum(block + kClientSum, call.client_ns);
    ++block[kFirstBucket + buckets() + bucket_of(config_.bounds_ns, call.client_ns)];
  }
}

void ServiceGraph::count(const std::vector<Call>& calls, std::size_t part_index) {
  if (calls.empty()) return;
  SeriesTable::Part& part = table_.part(part_index);
  const MutexLock lock(part.mutex);
  for (const Call& call : calls) {
    std::uint64_t state = seed_ + (std::uint64_t{call.client} << 34 | std::uint64_t{call.server} << 2 |
                                   static_cast<std::uint64_t>(call.type));
    const std::uint64_t hash = next_random(state);
    SeriesId series = part.counts.find(hash);
    if (series == SeriesCounts::kUnknown) {
      SeriesTable::Wanted wanted{hash, labels_of(call)};
      table_.resolve(part, {&wanted, 1});
      series = wanted.series;
      if (wanted.fresh) {
        const MutexLock ends_lock(ends_mutex_);
        if (ends_.size() <= series) ends_.resize(series + 1u);
        ends_[series] = {call.client, call.server, call.type, 0};
      }
    }
    count_one(part.counts.block(series), call);
  }
}

std::string ServiceGraph::labels_of(const Call& call) const {
  std::string out;
  append_label(out, "client", names_.text_of(call.client));
  append_label(out, "server", names_.text_of(call.server));
  append_label(out, "connection_type", kTypeNames[static_cast<std::size_t>(call.type)]);
  return out;
}

// What was counted since the last time goes to the pairs of services it belongs to. Edges expire, so in half an hour
// there may have been more of them than edges_max.
void ServiceGraph::put_by(std::span<const SeriesTable::Row> rows) {
  const MutexLock lock(history_mutex_);
  const MutexLock ends_lock(ends_mutex_);
  for (const SeriesTable::Row& row : rows) {
    if (row.series == kOverflowSeries || row.series >= ends_.size()) continue;
    Ends& ends = ends_[row.series];
    const std::uint64_t more = row.block[kRequests] - ends.counted;
    if (more == 0) continue;
    ends.counted = row.block[kRequests];
    const std::uint64_t pair = std::uint64_t{ends.client} << 32 | ends.server;
    if (const auto known = open_.find(pair); known != open_.end()) {
      known->second += more;
    } else if (open_.size() < config_.edges_max) {
      open_.emplace(pair, more);
    } else {
      unlisted_ += more;
    }
  }
}

// In use is what waits, what an edge has, and what the history of a day has.
void ServiceGraph::sweep_names(TimePoint now) {
  if (now - names_swept_ < kSweepNamesEvery || !names_.is_full()) return;
  names_swept_ = now;
  for (const std::unique_ptr<Names>& names : names_of_parts_) {
    const MutexLock lock(names->mutex);
    names->numbers.clear();  // whoever needs one asks again, which is seen
  }
  std::vector<bool> in_use;
  const auto use = [&](std::uint32_t number) {
    if (in_use.size() <= number) in_use.resize(number + 1u);
    in_use[number] = true;
  };
  use(user_);
  for (const std::unique_ptr<Shard>& shard : shards_) {
    const MutexLock lock(shard->mutex);
    shard->halves.each([&](const HalfEdge& half) {
      use(half.service);
      use(half.peer);
    });
  }
  table_.scrape(now, [&](std::span<const SeriesTable::Row> rows) {
    put_by(rows);
    const MutexLock lock(ends_mutex_);
    for (const SeriesTable::Row& row : rows) {
      if (row.series == kOverflowSeries || row.series >= ends_.size()) continue;
      use(ends_[row.series].client);
      use(ends_[row.series].server);
    }
  });
  {
    const MutexLock lock(history_mutex_);
    const auto use_both = [&](std::uint64_t ends) {
      use(static_cast<std::uint32_t>(ends >> 32));
      use(static_cast<std::uint32_t>(ends));
    };
    for (const auto& [ends, count] : open_) use_both(ends);
    for (const auto& interval : history_) {
      for (const auto& [ends, count] : interval->calls) use_both(ends);
    }
  }
  names_.sweep(in_use);
  for (const std::unique_ptr<Names>& names : names_of_parts_) {
    const MutexLock lock(names->mutex);
    names->no_room.clear();  // there may be room now
  }
}

void ServiceGraph::tick(TimePoint now) {
  end_waiting(now);
  sweep_names(now);
  {
    const MutexLock lock(history_mutex_);
    if (now - open_since_ < kInterval) return;
  }
  table_.scrape(now, [&](std::span<const SeriesTable::Row> rows) { put_by(rows); });
  const MutexLock lock(history_mutex_);
  if (history_.size() == kIntervals) history_.pop_front();
  history_.push_back(std::make_shared<const Interval>(Interval{open_since_, now, {open_.begin(), open_.end()}}));
  open_since_ = now;
  open_.clear();
}

ServiceGraph::Calls ServiceGraph::calls(TimePoint from, TimePoint to, TimePoint now, std::size_t max) {
  end_waiting(now);
  table_.scrape(now, [&](std::span<const SeriesTable::Row> rows) { put_by(rows); });
  std::vector<std::shared_ptr<const Interval>> intervals;  // added up without the lock, which scrapes take too
  Pairs sums;
  {
    const MutexLock lock(history_mutex_);
    for (auto at = history_.rbegin(); at != history_.rend(); ++at) {
      if ((*at)->to > from && (*at)->from < to) intervals.push_back(*at);
    }
    if (to > open_since_) sums = open_;
  }
  Calls out;
  const std::size_t most = std::max(config_.edges_max, max);
  for (const auto& interval : intervals) {
    for (const auto& [pair, count] : interval->calls) {
      if (const auto known = sums.find(pair); known != sums.end()) {
        known->second += count;
      } else if (sums.size() < most) {
        sums.emplace(pair, count);
      } else {
        out.left_out += count;
      }
    }
  }
  std::vector<std::pair<std::uint64_t, std::uint64_t>> found(sums.begin(), sums.end());
  if (found.size() > max) {
    const auto end = found.begin() + static_cast<std::ptrdiff_t>(max);
    std::nth_element(found.begin(), end, found.end(), [](const auto& a, const auto& b) {
      return std::pair(b.second, a.first) < std::pair(a.second, b.first);
    });
    for (auto at = end; at != found.end(); ++at) out.left_out += at->second;
    found.erase(end, found.end());
  }
  std::sort(found.begin(), found.end());
  for (const auto& [pair, count] : found) {
    out.most.push_back({names_.text_of(static_cast<std::uint32_t>(pair >> 32)),
                        names_.text_of(static_cast<std::uint32_t>(pair)), count});
  }
  return out;
}

void ServiceGraph::write(Exposition& out, TimePoint now) {
  end_waiting(now);
  const SeriesTable::Snapshot all = table_.page(now, [&](std::span<const SeriesTable::Row> rows) { put_by(rows); });
  write_families(all.rows, out);
}

void ServiceGraph::write_families(std::span<const SeriesTable::Row> rows, Exposition& out) const {
  const auto each = [&](auto&& write) {
    for (const SeriesTable::Row& row : rows) {
      if (row.series == kOverflowSeries && row.block[kRequests] == 0) continue;
      write(row.series == kOverflowSeries ? kOverflowLabels : std::string_view(row.labels), row.shown);
    }
  };
  const auto counter = [&](const char* name, const char* help, std::size_t word) {
    out.family(name, MetricType::kCounter, help);
    each([&](std::string_view labels, const std::uint64_t* block) { out.counter(labels, block[word]); });
  };
  counter("traces_service_graph_request", "Requests between two services.", kRequests);
  counter("traces_service_graph_request_failed", "Requests of which a side had status ERROR.", kFailed);
  std::vector<double> bounds;
  for (const std::uint64_t bound : config_.bounds_ns) bounds.push_back(static_cast<double>(bound) / 1e9);
  const auto histogram = [&](const char* name, const char* help, std::size_t sum, std::size_t bucket) {
    out.family(name, MetricType::kHistogram, help);
    each([&](std::string_view labels, const std::uint64_t* block) {
      out.histogram(labels, bounds, {block + bucket, buckets()}, sum_of(block + sum) / 1e9);
    });
  };
  histogram("traces_service_graph_request_server_seconds", "Durations of requests, by the server's spans.", kServerSum,
            kFirstBucket);
  histogram("traces_service_graph_request_client_seconds", "Durations of requests, by the client's spans.", kClientSum,
            kFirstBucket + buckets());
}

std::vector<ServiceGraph::Edge> ServiceGraph::edges(TimePoint now) {
  end_waiting(now);
  std::vector<Edge> out;
  table_.scrape(now, [&](std::span<const SeriesTable::Row> rows) {
    put_by(rows);
    const MutexLock lock(ends_mutex_);
    for (const SeriesTable::Row& row : rows) {
      if (row.series == kOverflowSeries || row.series >= ends_.size()) continue;
      Edge edge;
      edge.client = names_.text_of(ends_[row.series].client);
      edge.server = names_.text_of(ends_[row.series].server);
      edge.type = kTypeNames[static_cast<std::size_t>(ends_[row.series].type)];
      edge.requests = row.block[kRequests];
      edge.failed = row.block[kFailed];
      const std::uint64_t* const first = row.block + kFirstBucket;
      edge.server_buckets.assign(first, first + buckets());
      edge.client_buckets.assign(first + buckets(), first + 2 * buckets());
      out.push_back(std::move(edge));
    }
  });
  return out;
}

ServiceGraph::Stats ServiceGraph::stats() const {
  Stats out;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    const MutexLock lock(shard->mutex);
    out.waiting += shard->halves.size();
    out.expired += shard->expired;
    out.replaced += shard->replaced;
    out.dropped_full += shard->dropped;
  }
  for (const std::unique_ptr<Names>& names : names_of_parts_) {
    const MutexLock lock(names->mutex);
    out.dropped_names += names->dropped;
  }
  {
    const MutexLock lock(history_mutex_);
    out.unlisted = unlisted_;
  }
  const SeriesTable::Stats table = table_.stats();
  out.edges = table.series;
  out.expired_edges = table.expired;
  out.overflow_requests = table_.overflow(kRequests, 1);
  return out;
}

}  // namespace tailgate
