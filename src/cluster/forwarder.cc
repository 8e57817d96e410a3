// SPDX-License-Identifier: Apache-2.0
#include "cluster/forwarder.h"

#include <algorithm>
#include <mutex>

#include "telemetry/log.h"
#include "wire/otlp/frame.h"

namespace tailgate {
namespace {

constexpr std::size_t kPartBytes = 1 << 20;  // of OTLP in one piece; backends refuse requests of more than 4 MiB
constexpr std::string_view kLostPolicy = "cluster";  // in the metrics of what an exporter loses

}  // namespace

// Of one thread, from split() to send().
struct Forwarder::Scratch {
  struct Part {
    std::size_t to = 0;
    std::size_t runner = 0;
    std::shared_ptr<KeptTrace> trace;
  };
  std::vector<std::uint32_t> slot_of;         // by span of the slice
  std::vector<bool> gone;                     // by trace
  std::vector<std::vector<FrameSpan>> spans;  // by slot: kHops * index in names(), and the runner
  std::vector<TraceId> first;                 // by slot, the first trace
  std::vector<FrameSpan> piece;
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

SpanForwarder::Split Forwarder::split(SpanBatch& slice, Hop hop) {
  Scratch& s = scratch();
  s.parts.clear();
  s.gone.assign(slice.traces.size(), false);
  const std::size_t slots = kHops * to_.size();
  bool any = false;
  for (std::size_t t = 0; t < slice.traces.size(); ++t) {
    const BatchTrace& trace = slice.traces[t];
    const Routing::Way way = routing_.way_of(trace.id, hop, knows_);
    if (way.to == Routing::kHere) continue;
    if (way.to == Routing::kNowhere || to_[way.to] == nullptr) return Split::kNoRoom;
    if (!any) {
      any = true;
      s.slot_of.assign(slice.spans.size(), kNone);
      s.spans.resize(std::max(s.spans.size(), slots));
      s.first.resize(s.spans.size());
      for (std::vector<FrameSpan>& spans : s.spans) spans.clear();
    }
    s.gone[t] = true;
    const std::size_t slot = kHops * way.to + static_cast<std::size_t>(way.hop) - 1;
    s.first[slot] = trace.id;
    for (std::uint32_t i = trace.first; i != kNone; i = slice.spans[i].next)
      s.slot_of[i] = static_cast<std::uint32_t>(slot);
  }
  if (!any) return Split::kAllHere;
  // In the order of the request, in which spans with one resource stand together.
  for (std::size_t i = 0; i < slice.spans.size(); ++i) {
    if (s.slot_of[i] == kNone) continue;
    const BatchSpan& span = slice.spans[i];
    const ScopeGroup& group = slice.groups[span.group];
    s.spans[s.slot_of[i]].push_back({group.resource, group.scope, ByteView(span.data, span.size)});
  }
  for (std::size_t slot = 0; slot < slots; ++slot) {
    if (s.spans[slot].empty() || frame(s, slot)) continue;
    cancel();
    return Split::kNoRoom;
  }
  std::size_t at = 0;
  slice.remove_traces([&](const TraceId&) { return s.gone[at++]; });
  return Split::kSome;
}

// Makes pieces of the spans of one slot. False: there is no room for them.
bool Forwarder::frame(Scratch& s, std::size_t slot) {
  Link& link = *to_[slot / kHops];
  std::vector<FrameSpan>& spans = s.spans[slot];
  for (std::size_t begin = 0; begin < spans.size();) {
    s.piece.clear();
    std::size_t end = begin;
    for (std::size_t bytes = 0; end < spans.size() && (end == begin || bytes + spans[end].size() <= kPartBytes);
         ++end) {
      bytes += spans[end].size();
      s.piece.push_back(spans[end]);
    }
    auto part = std::make_shared<KeptTrace>();
    frame_trace(s.piece, part->otlp);
    part->spans = static_cast<std::uint32_t>(end - begin);
    part->id = s.first[slot];
    part->policy = kLostPolicy;
    part->charge = Charge(budget_, Holder::kQueues);
    if (!reserve(link, *part)) return false;
    s.parts.push_back({slot / kHops, slot % kHops, std::move(part)});
    begin = end;
  }
  return true;
}

bool Forwarder::reserve(Link& link, KeptTrace& part) {
  const std::size_t bytes = part.bytes();
  const std::size_t reserved = link.reserved.fetch_add(bytes) + bytes;
  const std::size_t queued = link.queued();
  // One piece that is too large for the queue goes alone.
  const bool fits = queued + reserved <= options_.queue_bytes_max || (queued == 0 && reserved == bytes);
  if (fits && (part.charge.try_grow(bytes) || (make_room_ && make_room_(bytes) && part.charge.try_grow(bytes))))
    return true;
  link.reserved.fetch_sub(bytes);
  return false;
}

std::uint64_t Forwarder::send(TimePoint now) {
  std::uint64_t spans = 0;
  for (Scratch::Part& part : scratch().parts) {
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
  for (const Scratch::Part& part : scratch().parts) to_[part.to]->reserved.fetch_sub(part.trace->bytes());
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
