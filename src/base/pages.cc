// SPDX-License-Identifier: Apache-2.0
#include "base/pages.h"

#include <sys/mman.h>

#include <cstdint>

namespace tailgate {
namespace {

constexpr std::size_t kHuge = 2 << 20;

}  // namespace

void* map_pages(std::size_t bytes, PageKind kind) {
  const std::size_t slack = kind == PageKind::kHuge && bytes >= kHuge ? kHuge : 0;
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* const region = mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (region == MAP_FAILED) throw std::bad_alloc();
  if (slack == 0) return region;
  // Unmaps what lies outside the aligned region. The ends are those of whole pages, because mmap() rounds up to them.
  constexpr std::uintptr_t kPage = 4096;
  const auto address = reinterpret_cast<std::uintptr_t>(region);
  const std::uintptr_t aligned = (address + kHuge - 1) / kHuge * kHuge;
  const std::uintptr_t end = (aligned + bytes + kPage - 1) / kPage * kPage;
  const std::uintptr_t region_end = (address + bytes + slack + kPage - 1) / kPage * kPage;
  if (aligned != address) munmap(region, aligned - address);
  if (end != region_end) munmap(reinterpret_cast<void*>(end), region_end - end);
  madvise(reinterpret_cast<void*>(aligned), bytes, MADV_HUGEPAGE);
  return reinterpret_cast<void*>(aligned);
}

void unmap_pages(void* at, std::size_t bytes) { munmap(at, bytes); }

}  // namespace tailgate
