// SPDX-License-Identifier: Apache-2.0
// Cluster: keeps this daemon's view of the members. It asks each of them once a second, asks DNS, draws conclusions
// (Members) and has the Forwarder route by them; and it carries what members tell each other besides spans.
//
// Threads: one of its own ("cluster-0"), on which all of that happens. start, set_list, leave and stop by the daemon's
// main thread; answer, status and explain by any. The hooks are called on its thread without a lock.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "cluster/config.h"
#include "cluster/fleet_limits.h"
#include "cluster/forwarder.h"
#include "cluster/message.h"
#include "net/io_threads.h"

namespace tailgate {

struct ClusterHooks {
  // Every trace that is open here is in memory, and none in a journal only.
  std::function<bool()> all_here;
  // From now on due traces that concern one of them are not decided. None: all are.
  std::function<void(const std::vector<Awaited>&)> await;
  // Hands open traces that are `wanted` to the way in, which routes them. False: there is no room for all of them, or
  // not all that is open is here yet.
  std::function<bool(const std::function<bool(const TraceId&)>& wanted)> hand_over;
  // A request of OTLP that waited for a member that is gone: routes it anew. False: there is no room, try again.
  // `written` says, on any thread, whether it is where a request must be that is answered OK.
  std::function<bool(const KeptTrace& request, const std::function<void(bool)>& written)> route_again;
  // Verdicts of the last traces for which `wanted` is true.
  std::function<std::vector<ToldVerdict>(const std::function<bool(const TraceId&)>& wanted)> verdicts;
  std::function<void(const std::vector<ToldVerdict>&)> remember;
  // What was asked of the limits since the last call; and what part of each this member may use, in the same order, and
  // of those with a limit for each key. Both empty: limits are each member's own.
  std::function<std::vector<FleetLimit>()> limits_asked;
  std::function<void(const std::vector<FleetLimit>&, const std::vector<FleetLimits::Share>&, double of_each_key)>
      set_shares;
};

struct ClusterStatus {
  std::string self;
  std::uint64_t version = 0, version_before = 0;
  std::vector<std::string> names, names_before;
  bool leaving = false, settling = false;
  std::size_t disagreeing = 0;
  std::vector<MemberState> members;
  std::uint64_t lookups_failed = 0, lookups = 0;
  std::uint64_t views = 0;  // that were in force
  std::uint64_t verdicts_told = 0, verdicts_heard = 0;
  std::uint64_t returned_spans = 0;  // that waited for a member that was gone
  struct Limit {
    std::string name;
    FleetLimits::Share share;
  };
  std::vector<Limit> limits;
  std::size_t limits_heard = 0;  // members that share theirs
};

class Cluster {
 public:
  Cluster(ClusterConfig config, Forwarder& forwarder, ClusterHooks hooks);
  ~Cluster();  // stops

  // Asks every member once, for a second at most, and is ready to route.
  void start();
  // The list of a reloaded configuration.
  void set_list(std::vector<Member> listed);
  // Nothing is at home here any more, once it returns: members that answer in time know it, and have the verdicts.
  // Waits for them for `patience` at most.
  void leave(Duration patience);
  // This daemon ends, and its successor of the same name has what is here. Members that answer in time know it. Waits
  // for them for `patience` at most.
  void go_away(Duration patience);
  void stop();

  struct Says {
    std::string bytes;                 // a message; that of a page_answer may be appended to it
    std::optional<PageQuestion> page;  // what the member asks besides
  };
  // Of a member's message. Errors: kBadInput.
  Result<Says> answer(ByteView message);
  ClusterStatus status() const;

  struct Answered {
    std::string name;
    std::optional<PageAnswer> answer;
    std::string error;  // when there is none
  };
  // Asks the other members, each what `question` says for it: nothing, and it is not asked. Calls back once, on the
  // cluster's thread, after `timeout` at the latest with what has come by then; at once, on the caller's, when the
  // cluster has stopped. Those that take long (`search`) hold up no others.
  void ask(std::function<std::optional<PageQuestion>(const std::string& name)> question, Duration timeout, bool search,
           std::function<void(std::vector<Answered>)> done);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tailgate
