#include "net/auth/password_checker.h"

#include <crypt.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <chrono>

namespace tailgate {
namespace {

constexpr std::size_t kQueue = 16;
constexpr std::ptrdiff_t kQueueOfClient = 2;
constexpr std::size_t kWrongMax = 1024;
constexpr int kRest = 3;  // times what a failure took

bool matches(const std::string& password, const std::string& hash) {
  const auto data = std::make_unique<crypt_data>();  // 32 KiB
  const char* const made = crypt_r(password.c_str(), hash.c_str(), data.get());
  const bool same = made != nullptr && std::string_view(made).size() == hash.size() &&
                    CRYPTO_memcmp(made, hash.data(), hash.size()) == 0;
  OPENSSL_cleanse(data.get(), sizeof *data);
  return same;
}

// Its two digits, which order as numbers do: $2y$10$...
std::string_view cost_of(std::string_view hash) { return hash.size() < 6 ? std::string_view() : hash.substr(4, 2); }

}  // namespace

PasswordChecker::~PasswordChecker() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void PasswordChecker::set_users(std::vector<Secret> users) {
  auto fresh = std::make_shared<Users>();
  for (Secret& user : users) {
    if (cost_of(user.text) > cost_of(fresh->costliest)) fresh->costliest = user.text;
    fresh->hashes.emplace(std::move(user.name), std::move(user.text));
  }
  const std::lock_guard lock(mutex_);
  if (users_ != nullptr && users_->hashes == fresh->hashes) return;
  // Users that did not change keep their results; otherwise each change would send all of them to bcrypt at once.
  std::erase_if(right_, [&](const auto& entry) {
    const auto now = fresh->hashes.find(entry.second);
    return now == fresh->hashes.end() || now->second != users_->hashes.at(entry.second);
  });
  wrong_.clear();
  users_ = std::move(fresh);
}

AuthVerdict PasswordChecker::check(const Digest& digest, std::string_view base64, std::string_view client,
                                   std::string& identity) {
  const std::lock_guard lock(mutex_);
  if (const auto it = right_.find(digest); it != right_.end()) {
    identity = it->second;
    return AuthVerdict::kPassed;
  }
  if (wrong_.contains(digest)) return AuthVerdict::kWrong;
  if (pending_.contains(digest)) return AuthVerdict::kChecking;
  std::optional<UserPassword> given = parse_basic(base64);
  if (!given) return AuthVerdict::kWrong;
  const auto of_client =
      std::count_if(jobs_.begin(), jobs_.end(), [&](const Job& job) { return job.client == client; });
  if (jobs_.size() >= kQueue || of_client >= kQueueOfClient) return AuthVerdict::kBusy;
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  jobs_.push_back({digest, std::move(*given), std::string(client)});
  pending_.insert(digest);
  wake_.notify_all();
  return AuthVerdict::kChecking;
}

void PasswordChecker::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stop_ || !jobs_.empty(); });
    if (stop_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    const std::shared_ptr<const Users> users = users_;
    lock.unlock();
    // An unknown name costs as much as the costliest known one; otherwise the time would reveal which names exist.
    const auto user = users->hashes.find(job.given.user);
    const std::string& hash = user != users->hashes.end() ? user->second : users->costliest;
    const auto began = std::chrono::steady_clock::now();
    const bool right = matches(job.given.password, hash) && user != users->hashes.end();
    const auto took = std::chrono::steady_clock::now() - began;
    OPENSSL_cleanse(job.given.password.data(), job.given.password.size());
    lock.lock();
    pending_.erase(job.digest);
    if (users == users_) {  // otherwise the request asks again
      if (right) {
        right_.emplace(job.digest, job.given.user);
      } else {
        if (wrong_.size() >= kWrongMax) wrong_.clear();
        wrong_.insert(job.digest);
      }
    }
    if (!right) wake_.wait_for(lock, kRest * took, [&] { return stop_; });
  }
}

}  // namespace tailgate
