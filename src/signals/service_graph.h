// SPDX-License-Identifier: Apache-2.0
// ServiceGraph: who calls whom, how often, how long it took on both sides and how often it failed; over every span that
// was taken, before anything is decided. docs/signals.md, docs/design/0021-service-graph.md.
//
// A request between services has two spans: the caller's (CLIENT, PRODUCER) and its child at the called (SERVER,
// CONSUMER). They come in different requests and in any order, so the first waits for the other (half_edges.h), at most
// `ttl`. A call of a database is complete by itself. The block of an edge (series_table.h):
//
//   [ sum of durations at the server ][ at the client ][ requests ][ failed ][ server's buckets ][ client's buckets ]
//
// Threads: any. Sides that wait lie in shards, each with a lock that a request takes at most once; no two locks are
// held at the same time, but that of a part and those that SeriesTable takes.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/number_cache.h"
#include "signals/exposition.h"
#include "signals/graph_config.h"
#include "signals/graph_names.h"
#include "signals/graph_notes.h"
#include "signals/half_edges.h"
#include "signals/series_table.h"

namespace tailgate {

struct ServiceCalls {
  std::string client, server;
  std::uint64_t calls = 0;
};

class ServiceGraph {
 public:
  ServiceGraph(ServiceGraphConfig config, std::size_t parts, std::uint64_t seed, TimePoint now);
  static std::size_t bytes_max(const ServiceGraphConfig& config, std::size_t parts);

  std::size_t parts() const { return table_.parts(); }
  void begin(GraphNotes& notes, const ScanPlan& plan) const { notes.begin(config_, plan, seed_); }
  // Pairs and counts them. Cost: some 50 ns for each span that is a side of a request, and nothing for others.
  void take(GraphNotes& notes, std::size_t part, TimePoint now);

  // What has waited long enough ends, the calls of half an hour are put by, and when there is no room for more names,
  // those that nothing uses go. To be called every second or so.
  void tick(TimePoint now);

  void write(Exposition& out, TimePoint now);

  // The calls between services from `from` to `to`, to the half hour, as far back as a day; of the `max` pairs that
  // have the most. Stats::unlisted are missing, and where more pairs than edges_max and `max` had some, the oldest of
  // these. Memory: some 60 bytes for each of so many.
  struct Calls {
    std::vector<ServiceCalls> most;
    std::uint64_t left_out = 0;  // calls of other pairs
  };
  Calls calls(TimePoint from, TimePoint to, TimePoint now, std::size_t max);

  // Every edge as it stands, for people.
  struct Edge {
    std::string client, server, type;
    std::uint64_t requests = 0, failed = 0;
    std::vector<std::uint64_t> server_buckets, client_buckets;  // one more than bounds
  };
  std::vector<Edge> edges(TimePoint now);
  const std::vector<std::uint64_t>& bounds_ns() const { return config_.bounds_ns; }

  struct Stats {
    std::uint64_t edges = 0, expired_edges = 0, overflow_requests = 0;
    std::uint64_t unlisted = 0;       // requests of a pair of services that was one too many in its half hour
    std::uint64_t waiting = 0;        // sides
    std::uint64_t expired = 0;        // sides whose other one did not come, and that make no edge
    std::uint64_t replaced = 0;       // sides that came twice before the other did
    std::uint64_t dropped_full = 0;   // sides that found no room to wait
    std::uint64_t dropped_names = 0;  // sides whose service is one too many, until older names go
  };
  Stats stats() const;

 private:
  static constexpr std::size_t kShards = 8;
  static constexpr std::size_t kIntervals = 48;
  static constexpr Duration kInterval = std::chrono::minutes(30);

  struct Shard {
    explicit Shard(std::size_t max) : halves(max) {}
    // Without the lock: only an address is made, which does not change.
    void prefetch(std::uint64_t key) const TAILGATE_NOT_ANALYSED { halves.prefetch(key); }
    mutable Mutex mutex;
    HalfEdges halves TAILGATE_GUARDED_BY(mutex);
    std::uint64_t expired TAILGATE_GUARDED_BY(mutex) = 0;
    std::uint64_t replaced TAILGATE_GUARDED_BY(mutex) = 0;
    std::uint64_t dropped TAILGATE_GUARDED_BY(mutex) = 0;
  };
  // Numbers of the names that a thread has met, by their hashes, and which ones found no room (their number is 0):
  // apart, since there is no end of these where peers' names have ids in them.
  struct Names {
    static constexpr std::size_t kNoRoom = 512;
    explicit Names(std::size_t max) : numbers(max), no_room(kNoRoom) {}
    mutable Mutex mutex;
    NumberCache numbers TAILGATE_GUARDED_BY(mutex), no_room TAILGATE_GUARDED_BY(mutex);
    std::uint64_t dropped TAILGATE_GUARDED_BY(mutex) = 0;
  };
  struct Call {
    std::uint32_t client = 0, server = 0;
    EdgeType type = EdgeType::kPlain;
    bool failed = false, client_seen = false, server_seen = false;
    std::uint64_t client_ns = 0, server_ns = 0;
  };
  struct Ends {
    std::uint32_t client = 0, server = 0;
    EdgeType type = EdgeType::kPlain;
    std::uint64_t counted = 0;  // requests that are put by already
  };
  using Pairs = std::unordered_map<std::uint64_t, std::uint64_t>;  // calls, by client << 32 | server
  struct Interval {
    TimePoint from{}, to{};
    std::vector<std::pair<std::uint64_t, std::uint64_t>> calls;
  };
  struct Scratch;

  std::size_t buckets() const { return config_.bounds_ns.size() + 1; }
  void name_sides(GraphNotes& all, Names& names, Scratch& scratch);
  std::uint32_t number_of(std::uint64_t hash, Names& names, ByteView text, ByteView attribute)
      TAILGATE_REQUIRES(names.mutex);
  void pair(const GraphNote* notes, std::size_t shard, std::uint32_t now_ms, Scratch& scratch);
  static Call joined(const HalfEdge& a, const HalfEdge& b);
  void end_waiting(TimePoint now);
  void sweep_names(TimePoint now);
  void end_one(const HalfEdge& half, Shard& shard, std::vector<Call>& calls) TAILGATE_REQUIRES(shard.mutex);
  void count(const std::vector<Call>& calls, std::size_t part);
  void count_one(std::uint64_t* block, const Call& call) const;
  std::string labels_of(const Call& call) const;
  void write_families(std::span<const SeriesTable::Row> rows, Exposition& out) const;
  void put_by(std::span<const SeriesTable::Row> rows);
  std::uint32_t ms_of(TimePoint t) const;

  const ServiceGraphConfig config_;
  const std::uint64_t seed_;
  const TimePoint origin_;
  SeriesTable table_;
  GraphNames names_;
  TimePoint names_swept_;
  const std::uint32_t user_;  // the caller of a request that nobody's span called
  std::vector<std::unique_ptr<Shard>> shards_;
  std::vector<std::unique_ptr<Names>> names_of_parts_;

  mutable Mutex ends_mutex_;
  std::vector<Ends> ends_ TAILGATE_GUARDED_BY(ends_mutex_);  // by series

  mutable Mutex history_mutex_;
  TimePoint open_since_ TAILGATE_GUARDED_BY(history_mutex_);
  Pairs open_ TAILGATE_GUARDED_BY(history_mutex_);  // calls since then, up to the last scrape; edges_max at most
  std::uint64_t unlisted_ TAILGATE_GUARDED_BY(history_mutex_) = 0;
  std::deque<std::shared_ptr<const Interval>> history_ TAILGATE_GUARDED_BY(history_mutex_);
};

}  // namespace tailgate
