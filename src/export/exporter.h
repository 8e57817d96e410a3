// Exporter: the way to one backend. It sends single batches and tells how each ended; it has no queue and no retry.
//
// Threads: everything but wake() is called by the one thread of its runner, so an exporter needs no lock of its own.
// Every batch given to send() ends exactly once in a later wait(), also after cancel().
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "export/send_queue.h"

namespace tailgate {

struct Completion {
  std::uint64_t batch_id = 0;
  SendResult result;
};

// What an exporter that writes files has written, in the form in which they are stored.
struct FilesWritten {
  std::uint64_t files = 0, bytes = 0;
};

class Exporter {
 public:
  Exporter() = default;
  virtual ~Exporter() = default;
  Exporter(const Exporter&) = delete;
  Exporter& operator=(const Exporter&) = delete;

  // Opens what it needs (kIo when it cannot). Reading the configuration opens nothing, so that `check` has no effects.
  virtual Result<void> start() = 0;

  virtual void send(BatchPtr batch) = 0;

  // Drives the calls in flight and appends those that ended to `done`. Returns after the first of them, at wake(), or
  // after `timeout`.
  virtual void wait(Duration timeout, std::vector<Completion>& done) = 0;

  // Any thread: makes a wait() in progress, or else the next one, return.
  virtual void wake() = 0;

  // Any thread. Nothing: it writes none.
  virtual std::optional<FilesWritten> files_written() const { return std::nullopt; }

  // Ends the calls in flight soon: they come out of wait() as failures.
  virtual void cancel() = 0;
};

// For backends that are written to in place: send() is the write, wait() sleeps.
class BlockingExporter : public Exporter {
 public:
  void send(BatchPtr batch) final;
  void wait(Duration timeout, std::vector<Completion>& done) final;
  void wake() final;
  void cancel() final {}

 protected:
  virtual SendResult write(const Batch& batch) = 0;

 private:
  std::vector<Completion> done_;
  std::mutex mutex_;
  std::condition_variable awake_;
  bool woken_ = false;  // under mutex_
};

}  // namespace tailgate
