// SPDX-License-Identifier: Apache-2.0
#include "cluster/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <map>

#include "cluster/peer_client.h"
#include "telemetry/log.h"

namespace tailgate {
namespace {

constexpr Duration kTick = std::chrono::milliseconds(200);
constexpr Duration kAskEvery = std::chrono::seconds(1);
constexpr Duration kAskTimeout = std::chrono::seconds(1);
constexpr Duration kLookUpEvery = std::chrono::seconds(5);
constexpr Duration kTellTimeout = std::chrono::seconds(5);
constexpr std::size_t kToldAtOnce = 500;                   // verdicts; a question has at most 64 KiB
constexpr Duration kTellBefore = std::chrono::seconds(1);  // the end of a window

std::string listed_names(const Homes& homes) {
  std::string out;
  for (const std::string& name : homes.names()) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

struct Cluster::Impl {
  Impl(ClusterConfig c, Forwarder& f, ClusterHooks h)
      : config(std::move(c)),
        forwarder(f),
        hooks(std::move(h)),
        io(threads.context(0)),
        lookup(io),
        timer(io),
        members({.self = config.self, .settle = config.settle, .hold = config.hold}) {
    if (!config.dns) members.list(config.listed);
  }

  // --- on the cluster's thread
  void tick();
  void advance(TimePoint now);
  void look_up(TimePoint now);
  void follow_peers();
  void ask_all(TimePoint now);
  ClusterMessage hello() const;
  void divide_limits(TimePoint now);
  void heard(const std::string& name, const Result<ClusterMessage>& answer);
  void tell_moved();
  void tell(const std::function<std::string(const TraceId&)>& home_of, const std::function<void()>& told);
  void tell_all(const std::function<void()>& told);
  void tidy();
  void route_again();
  void publish(TimePoint now);
  // Of a list of those that there may be, it has been there.
  bool exists(const MemberState& one) const { return one.listed && (!config.may_be_fewer || one.heard); }
  bool shares_limits() const { return config.fleet_limits && !config.self.empty() && hooks.limits_asked; }
  void begin();
  void tell_others(const std::shared_ptr<void>& told);
  void leave(const std::shared_ptr<std::promise<void>>& told);

  // Runs `work` there and waits for what it promises, no longer than `timeout`.
  void wait_for(Duration timeout, const std::function<void(const std::shared_ptr<std::promise<void>>&)>& work) {
    const auto promise = std::make_shared<std::promise<void>>();
    std::future<void> done = promise->get_future();
    threads.post(0, [work, promise] { work(promise); });
    done.wait_for(timeout);
  }

  const ClusterConfig config;
  Forwarder& forwarder;
  const ClusterHooks hooks;
  IoThreads threads{1, "cluster"};
  boost::asio::io_context& io;
  HostLookup lookup;
  boost::asio::steady_timer timer;
  Members members;
  FleetLimits fleet;
  struct Peer {
    std::string endpoint;
    std::unique_ptr<PeerClient> client;
    // A client has one question on its way: what members tell each other must not wait for a page, nor that for a
    // search.
    std::unique_ptr<PeerClient> pages, searches;
  };
  std::map<std::string, Peer> peers;
  std::vector<KeptTracePtr> returned;  // by the queues of members that are gone
  TimePoint ask_due{}, look_up_due{};
  bool begun = false, looking_up = false, told_moved = false, stopped = false;
  bool tidy_due = false;  // open traces may be misplaced
  bool ends_for_successor = false;
  std::vector<Awaited> awaited;
  bool running = false;  // the main thread's
  std::atomic<bool> ended{false};
  std::size_t first_answers = 0;  // that are missing
  std::shared_ptr<std::promise<void>> ready;

  mutable Mutex mutex;
  ClusterStatus status TAILGATE_GUARDED_BY(mutex);
  std::string says TAILGATE_GUARDED_BY(mutex);  // the answer to most messages
};

ClusterMessage Cluster::Impl::hello() const {
  ClusterMessage out;
  static_cast<MemberSays&>(out) = members.says(monotonic_now());
  out.away = ends_for_successor || !hooks.all_here();
  out.from = config.self;
  out.shares_limits = shares_limits();
  out.needs = fleet.needs();
  return out;
}

// What is asked of limits here, and what part of them this member may use by what the others need.
void Cluster::Impl::divide_limits(TimePoint now) {
  if (!shares_limits()) return;
  fleet.asked(hooks.limits_asked(), now);
  std::vector<std::string> others;
  for (const MemberState& one : members.states(now)) {
    if (exists(one) && !one.leaving && one.member.name != config.self) others.push_back(one.member.name);
  }
  const std::vector<FleetLimits::Share> shares = fleet.shares(others, now);
  hooks.set_shares(fleet.limits(), shares, 1 / static_cast<double>(1 + others.size()));
  const MutexLock lock(mutex);
  status.limits.clear();
  for (std::size_t i = 0; i < shares.size(); ++i) status.limits.push_back({fleet.limits()[i].name, shares[i]});
  status.limits_heard = fleet.heard_of(others, now);
}

void Cluster::Impl::publish(TimePoint now) {
  const Views& views = members.views();
  std::string own = write_message(hello());
  const MutexLock lock(mutex);
  says = std::move(own);
  status.self = config.self;
  status.version = views.now.version();
  status.version_before = views.before.version();
  status.names = views.now.names();
  status.names_before = views.before.names();
  status.leaving = members.leaving();
  status.settling = views.settling();
  status.disagreeing = members.disagreeing(now);
  status.members = members.states(now);
}

void Cluster::Impl::tick() {
  if (stopped) return;
  const TimePoint now = monotonic_now();
  look_up(now);
  follow_peers();
  if (now >= ask_due) ask_all(now);
  advance(now);
  tidy();
  route_again();
  timer.expires_after(members.until_end(monotonic_now(), kTick) + std::chrono::milliseconds(1));
  timer.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) tick();
  });
}

// One client for each member that there is to ask.
void Cluster::Impl::follow_peers() {
  const std::vector<Member> wanted = members.peers();
  std::erase_if(peers, [&](const auto& had) {
    return std::none_of(wanted.begin(), wanted.end(), [&](const Member& m) {
      return m.name == had.first && (m.endpoint == had.second.endpoint || m.endpoint.empty());
    });
  });
  for (const Member& member : wanted) {
    Peer& peer = peers[member.name];
    if (peer.client != nullptr) continue;
    peer.endpoint = member.endpoint;
    auto made = PeerClient::make(io, lookup, member.endpoint, config);
    auto pages = PeerClient::make(io, lookup, member.endpoint, config);
    auto searches = PeerClient::make(io, lookup, member.endpoint, config);
    if (made && pages && searches) {
      peer.client = std::move(*made);
      peer.pages = std::move(*pages);
      peer.searches = std::move(*searches);
    } else {
      members.not_heard(member.name, (!made ? made : !pages ? pages : searches).error().text);
    }
  }
}

void Cluster::Impl::look_up(TimePoint now) {
  if (!config.dns || looking_up || now < look_up_due) return;
  looking_up = true;
  look_up_due = now + kLookUpEvery;
  lookup.look_up(config.dns->service, [this](const Result<HostAddresses>& found) {
    looking_up = false;
    {
      const MutexLock lock(mutex);
      ++(found ? status.lookups : status.lookups_failed);
    }
    if (!found) {  // what was known stays
      log_warn("cluster: the look-up of the members failed, those known before stay",
               {{"service", config.dns->service}, {"error", found.error().text}});
    } else {
      members.list(config.members_of(*found));
      follow_peers();
    }
    if (!begun) ask_all(monotonic_now());
  });
}

void Cluster::Impl::ask_all(TimePoint now) {
  ask_due = now + kAskEvery;
  divide_limits(now);
  const std::string message = write_message(hello());
  first_answers = 0;
  for (auto& [name, peer] : peers) {
    if (peer.client == nullptr || !peer.client->idle()) continue;
    ++first_answers;
    peer.client->ask(message, kAskTimeout,
                     [this, of = name](const Result<ClusterMessage>& answer) { heard(of, answer); });
  }
  if (first_answers == 0 && !looking_up) begin();
}

void Cluster::Impl::heard(const std::string& name, const Result<ClusterMessage>& answer) {
  const TimePoint now = monotonic_now();
  if (answer) {
    members.heard(name, *answer, now);
    if (answer->shares_limits) fleet.heard(name, answer->needs, now);
  } else {
    members.not_heard(name, answer.error().text);
  }
  if (first_answers != 0 && --first_answers == 0) begin();
  advance(now);
}

// Whoever has not answered by now is no member yet.
void Cluster::Impl::begin() {
  if (begun) return;
  begun = true;
  advance(monotonic_now());
  ready->set_value();
}

// Draws conclusions, and has requests go by them.
void Cluster::Impl::advance(TimePoint now) {
  if (!begun) return publish(now);
  if (members.tick(now)) {
    const Views& views = members.views();
    if (Result<void> used = forwarder.use(views, members.peers(), config.self, members.leaving()); !used)
      log_error("cluster: a member cannot be sent to", {{"error", used.error().text}});
    log_info("cluster: view", {{"members", listed_names(views.now)},
                               {"before", listed_names(views.before)},
                               {"version", fmt::format("{:016x}", views.now.version())}});
    told_moved = false;
    tidy_due = true;
    const MutexLock lock(mutex);
    ++status.views;
  }
  if (std::vector<Awaited> next = members.awaited(now); next != awaited) hooks.await(awaited = std::move(next));
  if (members.ends_soon(now, kTellBefore) && !told_moved) tell_moved();
  publish(now);
}

// Verdicts of traces that moved away: later spans go to their new homes.
void Cluster::Impl::tell_moved() {
  told_moved = true;
  const Views& views = members.views();
  if (!views.before.has(config.self)) return;
  tell(
      [&](const TraceId& id) {
        if (views.before.names()[views.before.home_of(id)] != config.self) return std::string();
        return views.now.names()[views.now.home_of(id)];
      },
      {});
}

// Sends verdicts to the member that `home_of` names; "" or this one: nobody. `told` is called when all have it, or
// would not.
void Cluster::Impl::tell(const std::function<std::string(const TraceId&)>& home_of, const std::function<void()>& told) {
  const auto away = [&](const TraceId& id) {
    const std::string home = home_of(id);
    return !home.empty() && home != config.self;
  };
  std::map<std::string, std::vector<ToldVerdict>> by_home;
  for (ToldVerdict& verdict : hooks.verdicts(away)) by_home[home_of(verdict.id)].push_back(std::move(verdict));
  const std::shared_ptr<void> all(nullptr, [told](void*) {
    if (told) told();
  });
  for (auto& [name, verdicts] : by_home) {
    const auto peer = peers.find(name);
    if (peer == peers.end() || peer->second.client == nullptr) continue;
    for (std::size_t from = 0; from < verdicts.size(); from += kToldAtOnce) {
      ClusterMessage message = hello();
      const std::size_t count = std::min(kToldAtOnce, verdicts.size() - from);
      const auto first = verdicts.begin() + static_cast<std::ptrdiff_t>(from);
      message.verdicts.assign(first, first + static_cast<std::ptrdiff_t>(count));
      peer->second.client->ask(write_message(message), kTellTimeout,
                               [this, all, count](const Result<ClusterMessage>& answer) {
                                 if (!answer) return;
                                 const MutexLock lock(mutex);
                                 status.verdicts_told += count;
                               });
    }
  }
}

// What another change made another member's, before its time was over.
void Cluster::Impl::tidy() {
  if (!tidy_due || members.leaving()) return;
  tidy_due = !hooks.hand_over([this](const TraceId& id) { return forwarder.misplaced(id); });
}

void Cluster::Impl::route_again() {
  for (KeptTracePtr& one : forwarder.take_back()) returned.push_back(std::move(one));
  std::erase_if(returned, [&](const KeptTracePtr& one) {
    // It stays written as it was until it is written anew.
    const auto written = [this, one](bool safe) {
      if (safe) return;
      one->delivery.lost();
      threads.post(0, [this, one] { returned.push_back(one); });
    };
    if (!hooks.route_again(*one, written)) return false;
    const MutexLock lock(mutex);
    status.returned_spans += one->spans;
    return true;
  });
}

// Who this is now. `told` is destroyed when each has answered, or its question has run out.
void Cluster::Impl::tell_others(const std::shared_ptr<void>& told) {
  advance(monotonic_now());
  const std::string message = write_message(hello());
  for (auto& [name, peer] : peers) {
    if (peer.client != nullptr) peer.client->ask(message, kAskTimeout, [told](const Result<ClusterMessage>&) {});
  }
}

void Cluster::Impl::leave(const std::shared_ptr<std::promise<void>>& promise) {
  members.leave();
  const std::shared_ptr<void> all(nullptr, [promise](void*) { promise->set_value(); });
  tell_others(all);
  tell_all([all] {});
}

void Cluster::Impl::tell_all(const std::function<void()>& told) {
  std::vector<std::string> names = members.views().now.names();
  std::erase(names, config.self);
  const Homes homes(std::move(names));
  if (homes.empty()) return;
  tell([&](const TraceId& id) { return homes.names()[homes.home_of(id)]; }, told);
}

Cluster::Cluster(ClusterConfig config, Forwarder& forwarder, ClusterHooks hooks)
    : impl_(std::make_unique<Impl>(std::move(config), forwarder, std::move(hooks))) {}

Cluster::~Cluster() { stop(); }

void Cluster::start() {
  impl_->running = true;
  impl_->threads.start();
  impl_->wait_for(kAskTimeout + kTick, [impl = impl_.get()](const auto& promise) {
    impl->ready = promise;
    impl->tick();
  });
  impl_->wait_for(kAskTimeout, [impl = impl_.get()](const auto& promise) {
    impl->begin();
    promise->set_value();
  });
}

void Cluster::set_list(std::vector<Member> listed) {
  impl_->threads.post(0, [impl = impl_.get(), listed = std::move(listed)] {
    if (impl->config.dns || impl->stopped) return;
    impl->members.list(listed);
    impl->follow_peers();
    impl->ask_due = {};
  });
}

void Cluster::leave(Duration patience) {
  // First what is decided, so that late spans find their verdict; those of meanwhile come with the farewell.
  impl_->wait_for(patience / 2, [impl = impl_.get()](const auto& promise) {
    const std::shared_ptr<void> all(nullptr, [promise](void*) { promise->set_value(); });
    impl->tell_all([all] {});
  });
  impl_->wait_for(patience / 2, [impl = impl_.get()](const auto& promise) { impl->leave(promise); });
}

void Cluster::go_away(Duration patience) {
  impl_->wait_for(std::min(kAskTimeout, patience), [impl = impl_.get()](const auto& promise) {
    impl->ends_for_successor = true;
    impl->tell_others(std::shared_ptr<void>(nullptr, [promise](void*) { promise->set_value(); }));
  });
}

void Cluster::stop() {
  if (!std::exchange(impl_->running, false)) return;
  impl_->ended = true;
  impl_->wait_for(kAskTimeout, [impl = impl_.get()](const auto& promise) {
    impl->stopped = true;
    impl->route_again();
    std::uint64_t lost = 0;
    for (const KeptTracePtr& one : impl->returned) {
      lost += one->delivery.any() ? 0 : one->spans;  // else the next process finds it in the journal
      one->delivery.lost();
    }
    if (lost != 0) log_error("cluster: spans for members that are gone found no room, and are lost", {{"spans", lost}});
    impl->timer.cancel();
    impl->peers.clear();
    promise->set_value();
  });
  impl_->threads.stop();
}

Result<Cluster::Says> Cluster::answer(ByteView bytes) {
  Result<ClusterMessage> message = read_message(bytes);
  if (!message) return tl::unexpected(message.error());
  if (!message->verdicts.empty()) {
    impl_->hooks.remember(message->verdicts);
    const MutexLock lock(impl_->mutex);
    impl_->status.verdicts_heard += message->verdicts.size();
  }
  Says out;
  {
    const MutexLock lock(impl_->mutex);
    out.bytes = impl_->says;
  }
  out.page = std::move(message->page);
  if (!message->from.empty()) {
    message->verdicts.clear();  // they need not wait with the rest
    message->page.reset();
    message->page_answer.reset();
    impl_->threads.post(0, [impl = impl_.get(), says = std::move(*message)] {
      if (impl->stopped) return;
      const TimePoint now = monotonic_now();
      impl->members.heard(says.from, says, now);
      if (says.shares_limits && impl->members.listed(says.from)) impl->fleet.heard(says.from, says.needs, now);
      impl->advance(now);
    });
  }
  return out;
}

ClusterStatus Cluster::status() const {
  const MutexLock lock(impl_->mutex);
  return impl_->status;
}

void Cluster::ask(std::function<std::optional<PageQuestion>(const std::string&)> question, Duration timeout,
                  bool search, std::function<void(std::vector<Answered>)> done) {
  struct Asked {
    std::vector<Answered> all;
    std::function<void(std::vector<Answered>)> done;
    std::optional<boost::asio::steady_timer> timer;
    void finish() {
      if (auto call = std::exchange(done, nullptr)) call(std::move(all));
    }
    ~Asked() { finish(); }  // all have answered, or nobody is asked any more, since this ends
  };
  const auto asked = std::make_shared<Asked>();
  asked->done = std::move(done);
  if (impl_->ended) return asked->all.push_back({"the others", std::nullopt, "this member ends"});
  impl_->threads.post(0, [impl = impl_.get(), question = std::move(question), timeout, search, asked] {
    asked->timer.emplace(impl->io, timeout);
    asked->timer->async_wait([late = std::weak_ptr(asked)](const boost::system::error_code&) {
      if (const auto still = late.lock()) still->finish();
    });
    ClusterMessage message = impl->hello();
    for (const MemberState& one : impl->members.states(monotonic_now())) {
      const std::string& name = one.member.name;
      const auto found = impl->peers.find(name);
      if (found == impl->peers.end() || found->second.pages == nullptr || !impl->exists(one)) continue;
      message.page = question(name);
      if (!message.page) continue;
      const std::size_t at = asked->all.size();
      asked->all.push_back({name, std::nullopt, "no answer in time"});
      PeerClient& client = search ? *found->second.searches : *found->second.pages;
      client.ask(write_message(message), timeout, [asked, at](const Result<ClusterMessage>& answer) {
        if (!asked->done) return;  // too late
        Answered& said = asked->all[at];
        if (answer) {
          said.answer = answer->page_answer;
          said.error = "it does not answer for pages";
        } else {
          said.error = answer.error().text;
        }
      });
    }
  });
}

}  // namespace tailgate
