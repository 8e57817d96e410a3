// SPDX-License-Identifier: Apache-2.0
// Receiver: one `receivers:` entry of the configuration, from its keys to its listening sockets.
//
//   make (registry)  reads the keys and reports problems to the node; opens nothing
//   start            binds and serves
//   drain            takes no new work
//   stop             waits for the work in flight, then closes
//   finish           says what became of it, to who keeps it
//
// Threads: the daemon's main thread makes, starts, drains and stops it; stats from any.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_budget.h"
#include "base/clock.h"
#include "base/result.h"
#include "model/span_batch.h"
#include "net/io_threads.h"
#include "net/limits.h"
#include "net/server/server.h"
#include "receive/ingest.h"
#include "receive/refusal_reason.h"
#include "receive/reread.h"

namespace tailgate {

// What a receiver needs of the daemon. The functions may be called from every I/O thread at the same time.
struct ReceiverContext {
  IoThreads* threads = nullptr;
  ByteBudget* budget = nullptr;
  std::size_t tls_connections = 0;  // of all receivers over TLS, by their limits
  Ingest ingest;
  // The id under which telemetry counts (receiver, format); asked once per format at start.
  std::function<SourceId(std::string_view receiver, std::string_view format)> source;
  // Counts a refused request, for a RequestRefusal or a RefuseWhy.
  std::function<void(SourceId, RefusalReason reason)> refused;
  std::function<void(SourceId, Oddity, std::uint64_t count)> odd;  // counts what is odd about a request that was taken
  // For the log, which gets few lines of it (telemetry/refusal_log.h): the reason, which for a part of a request is a
  // SpanRefusal; the peer's address; and why, for people.
  std::function<void(SourceId, RefusalReason reason, std::string_view peer, std::string_view text)> log_refused;
  std::function<void(std::string_view text)> notice;  // worth one line of log
  // Answers SamplingStrategyParameters with a SamplingStrategyResponse, both as protobuf. Errors: kBadInput. Empty:
  // off.
  std::function<Result<std::string>(ByteView request)> sampling_strategy = {};
  // In a cluster: takes the spans that another daemon forwards, and answers what it asks. Empty: there is none.
  IngestForwarded ingest_forwarded = {};
  std::function<Result<Response>(ByteView message)> cluster_message = {};
  // For receivers that rereads(). `verdicts`: they take the verdicts of their traces.
  std::function<std::unique_ptr<Reread>(bool verdicts)> reread = {};
};

// Why a record can never be taken.
enum class PoisonReason : std::uint8_t { kMalformed, kTooLarge };
inline constexpr std::array<std::string_view, 2> kPoisonReasonNames = {"malformed", "too_large"};
static_assert(names_end_with(kPoisonReasonNames, PoisonReason::kTooLarge, "too_large"));

// Of a receiver that reads the partitions of a topic.
struct LogStats {
  struct Partition {
    std::int32_t number = 0;
    std::int64_t lag = 0;          // records in the topic that are not read
    std::int64_t committed = -1;   // offset; -1: none yet
    std::int64_t undecided = -1;   // offset of the first record that is not settled; -1: all are
    double undecided_seconds = 0;  // since it was read
  };
  std::vector<Partition> partitions;                              // those that it has now
  bool member = false;                                            // of the group, or on the way to be
  bool paused = false;                                            // because memory is short
  std::uint64_t records = 0;                                      // taken
  std::array<std::uint64_t, kPoisonReasonNames.size()> poison{};  // records
  std::uint64_t letters_failed = 0;                               // poison records that no file took
  std::uint64_t assigned = 0, revoked = 0, lost = 0;              // partitions
  std::uint64_t commits = 0, commits_failed = 0;
  bool verdicts = false;  // it has a topic for them
  std::uint64_t verdicts_written = 0, verdicts_failed = 0, verdicts_read = 0, verdicts_unreadable = 0;
};

struct ReceiverStats {
  std::uint64_t connections = 0;
  std::array<std::uint64_t, kCloseWhyNames.size()> closed{};      // by CloseWhy
  bool udp = false;                                               // has UDP endpoints
  std::array<std::uint64_t, kUdpDropNames.size()> udp_dropped{};  // datagrams, by UdpDrop
  bool clients = false;                                           // its clients report what they lose
  std::uint64_t client_lost_batches = 0;
  std::array<std::uint64_t, kClientLossNames.size()> client_lost_spans{};  // by ClientLoss
  std::optional<LogStats> log;                                             // it reads a topic
};

class Receiver {
 public:
  virtual ~Receiver() = default;

  virtual const std::string& name() const = 0;                    // as in the configuration: "otlp", "otlp/2"
  virtual std::vector<std::string> wanted_endpoints() const = 0;  // HOST:PORT as configured
  virtual std::size_t tls_connections() const = 0;                // over TLS at the same time, at most
  virtual bool marks_spans() const { return false; }              // its senders can ask for a trace to be kept
  virtual bool rereads() const { return false; }  // its spans stay where they come from: receive/reread.h
  // Errors: kConfig, kIo. After an error the receiver is stopped.
  virtual Result<void> start(const ReceiverContext& context) = 0;
  virtual std::vector<std::string> endpoints() const = 0;  // where it listens, with the ports in use
  virtual void drain() = 0;
  virtual void stop(Duration grace) = 0;  // the threads must be running
  // After stop(), when all that was kept has left the process or never will.
  virtual void finish() {}
  virtual ReceiverStats stats() const = 0;
};

}  // namespace tailgate
