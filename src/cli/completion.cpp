// SPDX-License-Identifier: BSD-2-Clause
// Each script finds the command word first and then offers what this command takes: flags with
// the same set of commands share a branch. Behind `--` a command to run is completed.
#include "cli/completion.h"

#include <fmt/format.h>

#include <map>
#include <vector>

#include "cli/flag_rules.h"
#include "cli/help.h"
#include "cli/usage.h"
#include "output/columns.h"

namespace tcptrail {
namespace {

constexpr std::string_view kNetnsNames = "ls /run/netns 2>/dev/null";

class Script {
 public:
  explicit Script(std::span<const std::string_view> features) : features_(features) {}

  [[nodiscard]] std::string bash() const;
  [[nodiscard]] std::string zsh() const;
  [[nodiscard]] std::string fish() const;

 private:
  // What a flag takes, separated by spaces; empty = free text, a file or a namespace.
  [[nodiscard]] std::string words(const Flag& flag) const {
    if (flag.kind == ValueKind::kFeatures) return fmt::format("{}", fmt::join(features_, " "));
    if (flag.words != nullptr) return fmt::format("{}", fmt::join(flag.words(), " "));
    if (flag.kind != ValueKind::kColumns) return {};
    std::string names;
    for (const Table table : {Table::kLife, Table::kTrace})
      for (const Column& column : all_columns(table))
        if ((" " + names + " ").find(fmt::format(" {} ", column.name)) == std::string::npos)
          names += fmt::format("{}{}", names.empty() ? "" : " ", column.name);
    return names;
  }

  std::span<const std::string_view> features_;
};

std::string names_of_commands(std::string_view between) {
  return fmt::format("{}", fmt::join(command_names(), between));
}

// "life|trace" → the flags that exactly these commands take.
std::map<std::string, std::vector<const Flag*>> flags_by_commands(std::string_view between) {
  std::map<std::string, std::vector<const Flag*>> found;
  for (const Flag& flag : flag_table()) {
    std::vector<std::string_view> takers;
    for (const CommandInfo& info : command_table())
      if (takes(info.command, flag)) takers.push_back(info.name);
    found[fmt::format("{}", fmt::join(takers, between))].push_back(&flag);
  }
  return found;
}

std::string Script::bash() const {
  std::string values;
  for (const Flag& flag : flag_table()) {
    if (!flag.takes_value()) continue;
    std::string action = flag.needs_value() ? "return" : "";
    if (const std::string offered = words(flag); !offered.empty())
      action = fmt::format(R"(COMPREPLY=($(compgen -W "{}" -- "$current")); return)", offered);
    if (flag.kind == ValueKind::kFile)
      action = R"(COMPREPLY=($(compgen -f -- "$current")); return)";
    if (flag.kind == ValueKind::kNetns)
      action = fmt::format(
          R"sh(COMPREPLY=($(compgen -f -- "$current") $(compgen -W "$({})" -- "$current")); return)sh",
          kNetnsNames);
    if (!action.empty())
      values += fmt::format("    {}) {} ;;\n", fmt::join(names_of(flag), "|"), action);
  }
  std::string flags;
  for (const auto& [takers, rows] : flags_by_commands("|")) {
    std::string names;
    for (const Flag* flag : rows) names += fmt::format(" {}", fmt::join(names_of(*flag), " "));
    flags += fmt::format("  case $command in {}) flags+=\"{}\" ;; esac\n", takers, names);
  }
  return fmt::format(
      R"(# bash completion for tcptrail: source it, or put it into bash-completion's completions/
_tcptrail() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}}
  local command= at= flags= i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${{COMP_WORDS[i]}} in
    --)
      if ((i + 1 == COMP_CWORD)); then COMPREPLY=($(compgen -c -- "$current"))
      else COMPREPLY=($(compgen -f -- "$current")); fi
      return ;;
    {0}|help) [[ $command ]] || {{ command=${{COMP_WORDS[i]}}; at=$i; }} ;;
    esac
  done
  # readline splits --how=fin at the sign
  if [[ $current == = ]]; then current=; previous=${{COMP_WORDS[COMP_CWORD-1]}}
  elif [[ $previous == = ]]; then previous=${{COMP_WORDS[COMP_CWORD-2]}}; fi
  case $previous in
{1}  esac
  if [[ $current == -* ]]; then
    command=${{command:-life}}
{2}    COMPREPLY=($(compgen -W "$flags" -- "$current"))
    return
  fi
  case $command in
    '') COMPREPLY=($(compgen -W "{3} help" -- "$current")) ;;
    help) COMPREPLY=($(compgen -W "{3}" -- "$current")) ;;
    completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$current")) ;;
    explain) COMPREPLY=($(compgen -f -- "$current")) ;;
    replay)
      if ((at + 1 == COMP_CWORD)); then COMPREPLY=($(compgen -f -- "$current"))
      else COMPREPLY=($(compgen -W "{4}" -- "$current")); fi ;;
  esac
}}
complete -o filenames -F _tcptrail tcptrail
)",
      names_of_commands("|"), values, flags, names_of_commands(" "),
      fmt::format("{}", fmt::join(view_names(), " ")));
}

// In single quotes, and without what _arguments reads as its own.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char c : text)
    if (c == '\'')
      out += "'\\''";
    else if (c == '[' || c == ']' || c == ':' || c == '\\')
      (out += '\\') += c;
    else
      out += c;
  return out;
}

std::string Script::zsh() const {
  std::string flags;
  for (const auto& [takers, rows] : flags_by_commands("|")) {
    flags += fmt::format("  case $command in ({}) flags+=(\n", takers);
    for (const Flag* flag : rows) {
      std::string value;
      if (flag->takes_value()) {
        const std::string offered = words(*flag);
        value = offered.empty() ? ":value: " : fmt::format(":value:({})", offered);
        if (flag->kind == ValueKind::kFile) value = ":path:_files";
        if (flag->kind == ValueKind::kNetns) value = fmt::format(":namespace:($({}))", kNetnsNames);
        if (!flag->needs_value()) value.insert(0, ":");  // may be left out
      }
      for (const std::string_view name : names_of(*flag)) {
        const std::string_view mark =
            !flag->needs_value() ? "" : (name.starts_with("--") ? "=" : "+");
        flags += fmt::format("    '*{}{}[{}]{}'\n", name, mark, zsh_text(describe(*flag)), value);
      }
    }
    flags += "  ) ;; esac\n";
  }
  return fmt::format(R"(#compdef tcptrail
# zsh completion for tcptrail: put it as _tcptrail into a directory of $fpath
_tcptrail() {{
  local command=life word
  local -a flags arguments
  integer i
  for ((i = 2; i < CURRENT; i++)); do
    if [[ $words[i] == -- ]]; then
      shift i words; (( CURRENT -= i ))
      _normal
      return
    fi
  done
  for word in $words[2,CURRENT-1]; do
    case $word in ({0}|help) command=$word; break ;; esac
  done
{1}  arguments=('1:command:({2} help)')
  case $command in
    (help) arguments+=('2:command:({2})') ;;
    (completion) arguments+=('2:shell:(bash zsh fish)') ;;
    (explain) arguments+=('2:recording:_files') ;;
    (replay) arguments+=('2:recording:_files' '3:view:({3})') ;;
  esac
  _arguments -s $flags $arguments
}}
_tcptrail "$@"
)",
                     names_of_commands("|"), flags, names_of_commands(" "),
                     fmt::format("{}", fmt::join(view_names(), " ")));
}

std::string fish_text(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

std::string Script::fish() const {
  std::string out = fmt::format(
      R"(# fish completion for tcptrail: put it as tcptrail.fish into ~/.config/fish/completions/
# The words before the cursor: the command among them, or none.
function __tcptrail_command
    for word in (commandline -opc)[2..-1]
        contains -- $word {0} help; and echo $word; and return
    end
    echo none
end
function __tcptrail_is
    contains -- (__tcptrail_command) $argv
end
function __tcptrail_runs
    contains -- -- (commandline -opc)
end
complete -c tcptrail -f
complete -c tcptrail -n '__tcptrail_runs' -xa '(__fish_complete_subcommand)'
complete -c tcptrail -n '__tcptrail_is help' -a '{0}'
complete -c tcptrail -n '__tcptrail_is completion' -a 'bash zsh fish'
complete -c tcptrail -n '__tcptrail_is replay explain' -F
complete -c tcptrail -n '__tcptrail_is replay' -a '{1}'
)",
      names_of_commands(" "), fmt::join(view_names(), " "));
  for (const CommandInfo& info : command_table())
    out += fmt::format("complete -c tcptrail -n '__tcptrail_is none' -a {} -d '{}'\n", info.name,
                       fish_text(std::string(info.help)));
  out += "complete -c tcptrail -n '__tcptrail_is none' -a help -d 'the help of a command'\n";
  for (const auto& [takers, rows] : flags_by_commands(" "))
    for (const Flag* flag : rows) {
      // Without a command it is life.
      out += fmt::format("complete -c tcptrail -n '__tcptrail_is {}{}'", takers,
                         takers.starts_with("life") ? " none" : "");
      for (const std::string_view name : names_of(*flag))
        out += fmt::format(" {} {}", name.starts_with("--") ? "-l" : "-s",
                           name.substr(name.starts_with("--") ? 2 : 1));
      if (flag->needs_value()) out += flag->kind == ValueKind::kFile ? " -r -F" : " -x";
      if (flag->kind == ValueKind::kNetns) out += fmt::format(" -a '({})'", kNetnsNames);
      if (const std::string offered = words(*flag); !offered.empty())
        out += fmt::format(" -a '{}'", offered);
      out += fmt::format(" -d '{}'\n", fish_text(describe(*flag)));
    }
  return out;
}

}  // namespace

Result<std::string> completion_script(std::string_view shell,
                                      std::span<const std::string_view> features) {
  const Script script(features);
  if (shell == "bash") return script.bash();
  if (shell == "zsh") return script.zsh();
  if (shell == "fish") return script.fish();
  return usage(
      shell.empty() ? "completion for which shell?" : "no completion for " + std::string(shell),
      "bash, zsh and fish are known", "tcptrail completion bash");
}

}  // namespace tcptrail
