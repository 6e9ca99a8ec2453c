// SPDX-License-Identifier: BSD-2-Clause
// The types that are picked from vmlinux BTF must be all that the programs need: one too few would
// not fail, it would only read as a field that this kernel does not have.
#include "kernel/core_btf.h"

#include <linux/bpf.h>

#include <cerrno>
#include <map>
#include <string>
#include <vector>

#include "live.h"
#include "tcptrail_classic.skel.h"
#include "tcptrail_timewait.skel.h"
#include "tcptrail_typed.skel.h"

namespace tcptrail {
namespace {

using Code = std::map<std::string, std::vector<std::string>>;
using Object = std::unique_ptr<bpf_object, Deleter<bpf_object__close>>;

std::string text(const bpf_insn& insn, bool is_address) {
  return std::to_string(insn.code) + ' ' + std::to_string(insn.dst_reg) + ' ' +
         std::to_string(insn.src_reg) + ' ' + std::to_string(insn.off) + ' ' +
         (is_address ? "a map" : std::to_string(insn.imm));
}

// As relocated, whether or not this kernel takes all of them: that comes after it.
Code relocate(const void* elf, std::size_t size, const CoreBtf* core_btf) {
  LIBBPF_OPTS(bpf_object_open_opts, options,
              .btf_custom_path = core_btf == nullptr ? nullptr : core_btf->path());
  const Object object(bpf_object__open_mem(elf, size, &options));
  EXPECT_NE(object, nullptr);
  if (!object) return {};
  EXPECT_TRUE(core_btf == nullptr || core_btf->fill(object.get()));
  bpf_object__load(object.get());
  Code code;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object.get()) {
    std::vector<std::string>& lines = code[bpf_program__name(program)];
    const bpf_insn* insns = bpf_program__insns(program);
    for (std::size_t i = 0; i < bpf_program__insn_cnt(program); ++i)
      lines.push_back(
          text(insns[i], insns[i].code == (BPF_LD | BPF_IMM | BPF_DW) && insns[i].src_reg != 0));
  }
  return code;
}

class Relocation : public test::OnThisKernel {
 protected:
  static void is_the_same(const void* elf, std::size_t size) {
    const libbpf_print_fn_t print = libbpf_set_print(nullptr);
    const CoreBtf core_btf;
    ASSERT_NE(core_btf.path(), nullptr);
    const Code expected = relocate(elf, size, nullptr);
    const Code code = relocate(elf, size, &core_btf);
    libbpf_set_print(print);
    ASSERT_FALSE(expected.empty());
    for (const auto& [name, lines] : expected) EXPECT_EQ(code.at(name), lines) << name;
  }
};

TEST_F(Relocation, OfTheTypedProgramsIsThatByAllOfVmlinux) {
  std::size_t size = 0;
  const void* elf = tcptrail_typed__elf_bytes(&size);
  is_the_same(elf, size);
}

TEST_F(Relocation, OfTheClassicProgramsIsThatByAllOfVmlinux) {
  std::size_t size = 0;
  const void* elf = tcptrail_classic__elf_bytes(&size);
  is_the_same(elf, size);
}

TEST_F(Relocation, OfTheHooksIsThatByAllOfVmlinux) {
  std::size_t size = 0;
  const void* elf = tcptrail_timewait__elf_bytes(&size);
  is_the_same(elf, size);
}

}  // namespace
}  // namespace tcptrail
