// SPDX-License-Identifier: Apache-2.0
// BodyBuffer: the bytes of one body, charged to the budget's `requests` as they arrive, never by what a sender claims.
//
//   capacity  address space; grows to the expected size in steps, so that a body is copied a few times at most
//   size      bytes received; the charge is the size rounded up to 64 KiB. A body over 1 MiB leaves a sixteenth of the
//             cap to others
//
// Each thread recycles blocks of up to 1 MiB (4 MiB in all, which belong to the process's baseline), because the first
// touch of fresh memory costs more than the copy. A larger block is mapped for its body alone: it grows without a copy
// and returns to the system at once, so the charge equals the resident memory. Threads: belongs to one; may be moved to
// another as a whole.
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

  // Called now and then. When nothing has arrived since the last call, gives back the room that is not used; from then
  // on the buffer grows by a quarter at a time. Many slow senders must not keep twice the memory of what they sent.
  void trim();

  ByteView view() const { return {data_, size_}; }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::size_t room_bytes() const { return capacity_; }

  // An empty charge to the same account, for memory that is needed besides the bytes.
  Charge another_charge() const { return charge_.another(); }

  // Gives memory and charge back.
  void reset();

 private:
  void grow(std::size_t wanted);

  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::size_t expected_ = 0;
  std::size_t trimmed_at_ = 0;  // size at the last trim()
  bool slow_ = false;           // it did not grow between two calls of trim()
  Charge charge_;
};

}  // namespace tailgate
