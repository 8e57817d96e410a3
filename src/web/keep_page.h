// SPDX-License-Identifier: Apache-2.0
// POST /keep and /keep/alert, GET /keep, GET and DELETE /keep/{job}: keeps traces that were not kept, while the journal
// has them. docs/journal.md.
//
// Threads: any; the work is the source's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/ids.h"
#include "web/cluster.h"
#include "web/pages.h"

namespace tailgate {

inline constexpr std::string_view kKeepPath = "/keep/";
inline constexpr std::size_t kKeepBodyMax = 1 << 20;

struct KeepRequest {
  std::vector<TraceId> ids = {};                            // or
  std::string condition = {};                               // of the policy type `trace`
  std::uint64_t from_unix_ns = 0, to_unix_ns = UINT64_MAX;  // of arrival; with a condition
  std::uint64_t limit = 1000;                               // traces, at most
  bool again = false;                                       // with ids: also what was kept
  std::string reason = {};
  std::string kind = {};  // ids, condition, alert or around (a trigger); of one by POST the source knows
};

struct KeepStatus {
  std::string job, state;  // waiting, running, done, cancelled, failed
  std::uint64_t begun_unix_ns = 0;
  KeepRequest request;
  double progress = 0;  // 0 to 1
  std::uint64_t found = 0, kept_traces = 0, kept_spans = 0;
  std::uint64_t already_kept = 0, not_found = 0;  // traces
  std::uint64_t not_taken = 0;                    // no room in queues or memory, or the journal takes none
  std::uint64_t kept_in_part = 0;                 // of kept_traces: too large, or some of it cannot be read
  std::uint64_t bytes = 0;                        // of requests looked at, unpacked
  std::uint64_t judged_early = 0;                 // by the condition, with the spans that had come until then
  std::string cut;                                // the key that ended the search before it had looked at all
  std::string waits_for;                          // in words, while it waits for more than other jobs
  std::string error;
};

// As Alertmanager's webhook tells of it.
struct Alert {
  std::string name;  // its label `alertname`
  std::map<std::string, std::string> labels;
  std::string fingerprint;
  std::uint64_t starts_unix_ns = 0;
};

class KeepSource {
 public:
  virtual ~KeepSource() = default;
  // The job's number. kRefused: too many jobs; kBadInput: the condition; kUnavailable: there is no journal that
  // retains.
  virtual Result<std::string> begin(KeepRequest request) = 0;
  // Likewise; the same alert twice is one job. kBadInput: no condition belongs to it.
  virtual Result<std::string> begin_for(const Alert& alert) = 0;
  virtual std::optional<KeepStatus> status(std::string_view job) const = 0;
  virtual std::vector<KeepStatus> jobs() const = 0;  // the newest first
  virtual bool cancel(std::string_view job) = 0;
  // Another member of the cluster has kept what `keep_around` waits for. False: here nothing does.
  virtual bool triggered_elsewhere(std::uint64_t unix_ns) = 0;
};

// `source` outlives the pages. `allowed`: whether who asks is known, or on this machine; else everything that begins or
// ends a job gets 403.
void add_keep_page(Pages& pages, KeepSource& source, bool allowed);

// POST /keep/around, by which members of a cluster tell each other of a trigger: each begins a job of its own for it,
// and triggers that they have at the same time are one.
void add_trigger_page(Pages& member_pages, KeepSource& source);
PageQuestion tell_of_trigger(std::uint64_t unix_ns);

// The paths of add_keep_page(), for all members of a cluster: each begins a job of its own by `own`, where
// add_keep_page() added it, and the fleet's job names these: "a=3,b=7". `own` outlives the pages.
void add_fleet_keep_page(Pages& pages, const Pages& own, OtherMembers others, bool allowed);

// Everybody who reaches the port could send what was dropped to the backends, and they are paid by the span.
Response keep_not_allowed();

}  // namespace tailgate
