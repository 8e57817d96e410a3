// BodyBuffer: the bytes of one body, charged to the budget's `requests` as they arrive, never by what a sender claims.
//
//   capacity  address space; grows to the expected size in steps, so that a body is copied at most a few times
//   size      bytes that came; charge = size rounded up to 64 KiB. Bodies over 1 MiB leave a sixteenth of the cap to
//   others
//
// Blocks of up to 1 MiB are recycled per thread (4 MiB at most, part of the process's baseline), because the first
// touch of fresh memory costs more than the copy. Larger ones are mapped for the body alone: they grow without a copy
// and go back to the system at once, so that what is charged is what is resident. Threads: belongs to one; may be moved
// to another whole.
#pragma once

#include <cstddef>

#include "base/byte_budget.h"
#include "base/bytes.h"

namespace tailgate {

// A body larger than kLargeBody may not take the last 1/kReserveParts of the cap: small requests always find room.
inline constexpr std::size_t kLargeBody = 1 << 20;
inline constexpr std::size_t kReserveParts = 16;

class BodyBuffer {
 public:
  BodyBuffer() = default;
  explicit BodyBuffer(ByteBudget* budget)
      : charge_(budget != nullptr ? Charge(*budget, Holder::kRequests) : Charge()) {}
  BodyBuffer(BodyBuffer&& other) noexcept;
  BodyBuffer& operator=(BodyBuffer&& other) noexcept;
  ~BodyBuffer() { reset(); }

  // A hint from a length prefix or Content-Length. Takes no memory.
  void expect(std::size_t bytes) { expected_ = bytes; }

  // False and unchanged when the budget has no room.
  bool append(ByteView bytes);

  // Room for more bytes at the end: write up to `size` there, then add what was written. Null when there is no room.
  char* room(std::size_t size);
  void add(std::size_t written) { size_ += written; }

  // Called now and then. When nothing has come since the last time, room beyond what came is given back, and from then
  // on it grows by a quarter at a time: many that wait must not keep twice what they have sent.
  void rest();

  ByteView view() const { return {data_, size_}; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t room_bytes() const { return capacity_; }

  // An empty charge to the same account, for what is needed beside the bytes.
  Charge another_charge() const { return charge_.another(); }

  // Gives memory and charge back.
  void reset();

 private:
  void grow(std::size_t wanted);

  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::size_t expected_ = 0;
  std::size_t rested_at_ = 0;  // size at the last rest()
  bool slow_ = false;          // it has not grown between two
  Charge charge_;
};

}  // namespace tailgate
