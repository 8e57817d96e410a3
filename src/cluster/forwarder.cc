// SPDX-License-Identifier: Apache-2.0
#include "cluster/forwarder.h"

#include <algorithm>
#include <functional>
#include <mutex>

#include "base/invariant.h"
#include "cluster/split.h"

namespace tailgate {
namespace {

constexpr std::string_view kLostPolicy = "cluster";  // in the metrics of what an exporter loses

}  // namespace

// Of one thread, from split() to send().
struct Forwarder::Scratch {
  struct Part {
    std::uint16_t to = 0;  // or Routing::kUnsure
    std::size_t runner = 0;
    std::shared_ptr<KeptTrace> trace;
  };
  SplitScratch split;
  std::vector<SplitPart> split_parts;
  std::vector<Part> parts;
};

Forwarder::Scratch& Forwarder::scratch() {
  thread_local Scratch of_this_thread;
  return of_this_thread;
}

std::size_t Forwarder::Link::queued() const {
  std::size_t out = 0;
  for (const auto& runner : runners) out += runner->queued_bytes();
  return out;
}

Forwarder::~Forwarder() {
  begin_drain(TimePoint{}, TimePoint{});
  end_drain();
}

// The one there is, also of a member that was gone and is back, or a new one.
Result<Forwarder::LinkPtr> Forwarder::link_to(const Member& member) {
  {
    const MutexLock lock(links_mutex_);
    for (const LinkPtr& link : links_) {
      if (link->member == member) return link;
    }
  }
  auto link = std::make_shared<Link>();
  link->member = member;
  for (std::size_t i = 0; i < kHops; ++i) {
    auto& runner = link->runners[i];
    runner = make_(member.name, member.endpoint, static_cast<Hop>(i + 1));
    if (runner == nullptr) return fail(ErrorKind::kConfig, "its endpoint is not valid");
    if (Result<void> started = runner->start(); !started) return tl::unexpected(started.error());
  }
  const MutexLock lock(links_mutex_);
  links_.push_back(link);
  return link;
}

Result<void> Forwarder::use(const Views& views, const std::vector<Member>& peers, const std::string& self,
                            bool leaving) {
  Routing routing(views, self, leaving);
  std::vector<LinkPtr> to;
  Result<void> out;
  for (const std::string& name : routing.names()) {
    const auto member = std::find_if(peers.begin(), peers.end(), [&](const Member& m) { return m.name == name; });
    LinkPtr link;
    if (member != peers.end()) {
      Result<LinkPtr> linked = link_to(*member);
      if (linked) {
        link = *linked;
      } else {
        out = fail(linked.error().kind, name + ": " + linked.error().text);
      }
    }
    to.push_back(std::move(link));
  }
  const MutexLock turn(turnstile_);
  closing_.store(true);
  const std::unique_lock alone(gate_);
  closing_.store(false);
  routing_ = std::move(routing);
  to_.swap(to);
  queue_max_ = options_.queue_bytes_max != 0 ? options_.queue_bytes_max
                                             : budget_.cap(Holder::kQueues) / 2 / std::max<std::size_t>(1, to_.size());
  return out;
}

std::vector<KeptTracePtr> Forwarder::take_back() {
  std::vector<LinkPtr> ended;
  std::vector<KeptTracePtr> out;
  const auto named = [&](const LinkPtr& link) { return std::find(to_.begin(), to_.end(), link) != to_.end(); };
  const MutexLock lock(links_mutex_);
  for (auto at = links_.begin(); at != links_.end();) {
    if (named(*at)) {
      ++at;
      continue;
    }
    bool empty = (*at)->reserved.load() == 0;
    for (const auto& runner : (*at)->runners) {
      for (KeptTracePtr& waiting : runner->take_waiting()) out.push_back(std::move(waiting));
      empty = empty && runner->queued_bytes() == 0;
    }
    if (empty) {
      ended.push_back(std::move(*at));
      at = links_.erase(at);
    } else {
      ++at;
    }
  }
  return out;
}

SpanForwarder::Split Forwarder::split(SpanBatch& slice, Hop hop, Known known) {
  Scratch& s = scratch();
  s.parts.clear();
  s.split_parts.clear();
  const auto way_of = [this, hop, known](const TraceId& id) -> Routing::Way {
    if (known == Known::kAll) return routing_.way_of(id, hop, knows_);
    if (known == Known::kFirst) {
      if (knows_(id)) return {Routing::kHere, hop};
      return routing_.way_of(id, hop, [](const TraceId&) { return false; });
    }
    bool asked = false;
    const Routing::Way way = routing_.way_of(id, hop, [&](const TraceId&) { return asked = true; });
    return asked ? Routing::Way{Routing::kUnsure, hop} : way;
  };
  // By reference, since it is too large for a function that allocates nothing.
  if (!split_request(slice, to_.size(), std::cref(way_of), s.split, s.split_parts)) return Split::kNoRoom;
  for (SplitPart& part : s.split_parts) {
    auto trace = std::make_shared<KeptTrace>();
    trace->otlp = std::move(part.otlp);
    trace->spans = part.spans;
    trace->id = part.first;
    trace->policy = kLostPolicy;
    if (part.to == Routing::kUnsure) {  // it lives until it is written
      s.parts.push_back({part.to, 0, std::move(trace)});
      continue;
    }
    trace->charge = Charge(budget_, Holder::kQueues);
    if (to_[part.to] == nullptr || !reserve(*to_[part.to], *trace)) {
      cancel();
      return Split::kNoRoom;
    }
    s.parts.push_back({part.to, static_cast<std::size_t>(part.hop) - 1, std::move(trace)});
  }
  return s.parts.empty() ? Split::kAllHere : Split::kSome;
}

bool Forwarder::reserve(Link& link, KeptTrace& part) {
  const std::size_t bytes = part.bytes();
  const std::size_t reserved = link.reserved.fetch_add(bytes) + bytes;
  const std::size_t queued = link.queued();
  // One piece that is too large for the queue goes alone.
  const bool fits = queued + reserved <= queue_max_ || (queued == 0 && reserved == bytes);
  if (fits && (part.charge.try_grow(bytes) || (make_room_ && make_room_(bytes) && part.charge.try_grow(bytes))))
    return true;
  link.reserved.fetch_sub(bytes);
  return false;
}

std::uint64_t Forwarder::send(TimePoint now, const WritePart& write) {
  std::uint64_t spans = 0;
  for (Scratch::Part& part : scratch().parts) {
    const bool unsure = part.to == Routing::kUnsure;
    INVARIANT(!unsure || write);
    if (write) write(part.trace, unsure);
    if (unsure) continue;
    Link& link = *to_[part.to];
    const std::size_t bytes = part.trace->bytes();
    spans += part.trace->spans;
    link.runners[part.runner]->push(std::move(part.trace), now);
    link.reserved.fetch_sub(bytes);
  }
  scratch().parts.clear();
  return spans;
}

void Forwarder::cancel() {
  for (const Scratch::Part& part : scratch().parts) {
    if (part.to != Routing::kUnsure) to_[part.to]->reserved.fetch_sub(part.trace->bytes());
  }
  scratch().parts.clear();
}

void Forwarder::begin_drain(TimePoint deadline, TimePoint now) {
  const MutexLock lock(links_mutex_);
  for (const LinkPtr& link : links_) {
    for (const auto& runner : link->runners) runner->begin_drain(deadline, now);
  }
}

void Forwarder::end_drain() {
  std::vector<LinkPtr> links;
  {
    const MutexLock lock(links_mutex_);
    links = links_;
  }
  for (const LinkPtr& link : links) {
    for (const auto& runner : link->runners) runner->join();
  }
}

std::size_t Forwarder::queue_bytes(const std::string& name) const {
  std::size_t out = 0;
  const MutexLock lock(links_mutex_);
  for (const LinkPtr& link : links_) {
    if (link->member.name == name) out += link->queued();
  }
  return out;
}

}  // namespace tailgate
