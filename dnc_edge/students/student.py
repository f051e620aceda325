"""A student ready to decode: manifest, tokenizer and engine, checked against each other."""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from dnc_edge.engines import GREEDY, Engine, Observer, Request, Sampling, Step
from dnc_edge.engines.loading import installed, none_installed
from dnc_edge.engines.protocol import Finish
from dnc_edge.errors import PromptTooLong, StudentError
from dnc_edge.students import adapted, lines
from dnc_edge.students import manifest as manifests
from dnc_edge.students.checksums import Verification
from dnc_edge.students.choice import choose
from dnc_edge.students.lines import Enough, References, Repeats
from dnc_edge.students.manifest import Manifest, WeightFile
from dnc_edge.students.resolve import resolve
from dnc_edge.students.tokenizer import Detokenizer, Tokenizer, encode_prompt
from dnc_edge.types import Usage

_ids = itertools.count(1)


class Generation:
    """One decoding run. Iterate it for text as it comes; afterwards it tells what it measured.

    Attributes:
        text: all text so far. tokens: the decoded ids so far, without the ending one.
        finish: why it ended; "cancelled" after `stop()`; None while it runs.
        error: why nothing came of it, where it was decoded together with others.
        logprobs: of the decoded tokens in order, the ending one included; mean_logprob is their mean.
    """

    def __init__(self, engine: Engine, tokenizer: Tokenizer, request: Request) -> None:
        self._engine = engine
        self.request = request
        self._detokenizer = Detokenizer(tokenizer)
        self.text = ""
        self.tokens: list[int] = []
        self.finish: Finish | None = None
        self.error: PromptTooLong | None = None
        self.logprobs: list[float] = []
        self._started = time.perf_counter()
        self._first: float | None = None
        self._ended: float | None = None

    def __iter__(self) -> Iterator[str]:
        steps = self._engine.run([self.request])
        try:
            for step in steps:
                if text := self.feed(step):
                    yield text
                if self.finish == "cancelled":
                    return
            if tail := self.end():
                yield tail
        finally:
            steps.close()
            self.end()

    def feed(self, step: Step) -> str:
        """Take a step of the request from whoever runs the engine; the text that it completes.

        Raises:
            PromptTooLong: the step says so.
        """
        if self._first is None:
            self._first = time.perf_counter()
        self.finish = step.finish
        if step.finish == "too_long":
            raise PromptTooLong(
                f"the prompt has {len(self.request.tokens)} tokens and the student's context is {self._engine.context}",
                hint="shorten the question or the passage",
            )
        if step.token is None:
            return ""
        self.logprobs.append(step.logprob)
        if step.token in self.request.stop_ids:
            return ""
        self.tokens.append(step.token)
        text = self._detokenizer.add(step.token)
        self.text += text
        return text

    def end(self) -> str:
        """Nothing more comes: the text that was still waiting for bytes. Twice is harmless."""
        tail = "" if self._ended else self._detokenizer.finish()
        self.text += tail
        self._ended = self._ended or time.perf_counter()
        return tail

    def stop(self) -> None:
        """End the run early; what was decoded stays."""
        self.finish = "cancelled"
        self._engine.cancel(self.request.id)

    @property
    def mean_logprob(self) -> float | None:
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else None

    @property
    def usage(self) -> Usage:
        return Usage(
            requests=1,
            input_tokens=len(self.request.tokens),
            output_tokens=len(self.logprobs),
            seconds=(self._ended or time.perf_counter()) - self._started,
            first_token_seconds=None if self._first is None else self._first - self._started,
        )


class Student:
    """Decodes prompts of its roles. Made by `open`; close it, or use it in a `with`.

    Attributes:
        manifest: what it is. weights: the file in use. engine, tokenizer: what decodes.
        files: all files in use, by part or, of adapters, by name.
    """

    def __init__(
        self,
        manifest: Manifest,
        weights: WeightFile,
        engine: Engine,
        tokenizer: Tokenizer,
        files: Mapping[str, Path] | None = None,
    ) -> None:
        self.manifest = manifest
        self.files = files or {}
        self.weights = weights
        self.engine = engine
        self.tokenizer = tokenizer
        self.stop_ids = frozenset(tokenizer.control(piece) for piece in manifest.stop)
        self._check_probes()
        # What all prompts of a role begin with: two that have nothing else in common tell.
        self._heads = [list(_common(self.prompt(role, "1"), self.prompt(role, "Z"))) for role in self.manifest.roles]

    @classmethod
    def open(
        cls,
        name: str | None = None,
        *,
        level: str | None = None,
        engine: str | None = None,
        threads: int | None = None,
        context: int | None = None,
        slots: int = 1,
        role: str | None = None,
    ) -> Student:
        """Load a student by name or path, its checksum and probes verified.

        Args:
            name: see `resolve`; None is the default student.
            level: quantization level; None is the student's default.
            engine: "llama.cpp" or "onnxruntime"; None takes the first that is installed and has the level.
            threads: compute threads; None lets the engine choose.
            context: longest sequence in tokens; None is what the student was trained for.
            slots: sequences that are decoded at once.
            role: the only one that it will be asked for, so that merged weights may be taken for it; None is any.

        Raises:
            StudentError: unknown, damaged, or not what trained it.
            EngineMissing: no engine is installed, or the chosen one does not load.
        """
        directory = resolve(name)
        manifest = manifests.load(directory)
        engines = installed()
        if not engines:
            raise none_installed()
        if manifest.base is not None:
            directory, manifest = adapted.runnable(directory, manifest, engine, level=level, role=role)
        weights = choose(manifest, level, engine, engines)
        parts = manifest.parts(weights.level, weights.engine)
        # Checksums are worked out while the engine's libraries are imported; nothing is loaded before they hold.
        checks = {part: Verification(directory, file) for part, file in parts.items()}
        if manifest.base is not None and weights.engine == "llama.cpp":
            checks["model"] = Verification(*adapted.base_of(manifest.base, manifest.name))
        adapters = {
            file.file: Verification(directory, file) for file in manifest.adapters(weights.level, weights.engine)
        }
        size = context or manifest.context
        if weights.engine == "llama.cpp":
            from dnc_edge.engines.llama_cpp import GgufModel, LlamaCppEngine
            from dnc_edge.students.tokenizer import GgufTokenizer

            model = GgufModel(checks["model"].path())
            over = {name: check.path() for name, check in adapters.items()}
            llama = LlamaCppEngine(model, context=size, threads=threads, slots=slots, adapters=over)
            return cls(manifest, weights, llama, GgufTokenizer(model), {"model": model.path, **over})
        from dnc_edge.engines.onnx import OnnxEngine
        from dnc_edge.students.tokenizer import JsonTokenizer

        paths = {part: check.path() for part, check in checks.items()}
        if "tokenizer" not in paths:
            raise StudentError(f"student {manifest.name} has no tokenizer file", hint="convert it again")
        tokenizer = JsonTokenizer(paths["tokenizer"])
        over = {name: check.path() for name, check in adapters.items()}
        onnx = OnnxEngine(paths, context=size, threads=threads, slots=slots, start=manifest.start, adapters=over)
        if onnx.vocabulary_size < tokenizer.vocabulary_size:
            raise StudentError(
                f"student {manifest.name} has {onnx.vocabulary_size} tokens, its tokenizer {tokenizer.vocabulary_size}",
                hint="its files do not belong together; convert it again",
            )
        return cls(manifest, weights, onnx, tokenizer, {**paths, **over})

    def _check_probes(self) -> None:
        for probe in self.manifest.probes:
            if tuple(self.prompt(probe.role, probe.user)) != probe.tokens:
                raise StudentError(
                    f"student {self.manifest.name} reads the prompt {probe.user[:40]!r} otherwise than in training",
                    hint="its tokenizer and its manifest do not belong together; convert it again",
                )

    @property
    def name(self) -> str:
        return self.manifest.name

    def prompt(self, role: str, user: str) -> list[int]:
        """Token ids of a role's prompt around a user message.

        Raises:
            StudentError: the student was not trained for the role.
        """
        if role not in self.manifest.roles:
            raise StudentError(
                f"student {self.name} has no role {role}", hint=f"it has: {', '.join(self.manifest.roles)}"
            )
        return encode_prompt(self.tokenizer, self.manifest.roles[role].template, user)

    def plan_observers(self, cap: int, given: str = "") -> tuple[Observer, ...]:
        """What every plan is decoded with: no repeated line, no reference but to an earlier one, at most `cap` lines.

        Args:
            cap: most sub-questions to decode.
            given: sub-questions that the prompt ends with, a line each; references may point to them.
        """
        tokenizer = self.tokenizer
        return (
            Repeats(tokenizer, self.stop_ids),
            References(tokenizer, given),
            Enough(tokenizer, lambda text: len(lines.whole(text, cap)) == cap),
        )

    def generate(
        self,
        tokens: list[int],
        *,
        max_tokens: int,
        role: str | None = None,
        sampling: Sampling = GREEDY,
        observers: Sequence[Observer] = (),
    ) -> Generation:
        """Continue token ids until an end token, `max_tokens` or an observer's end; iterate the result for its text.

        With a `role` its adapter, if it has one, is over the base.
        """
        request = Request(
            id=f"g{next(_ids)}",
            tokens=tokens,
            max_tokens=max_tokens,
            stop_ids=self.stop_ids,
            sampling=sampling,
            adapter=self.manifest.roles[role].adapter if role else None,
            shared=max((len(head) for head in self._heads if tokens[: len(head)] == head), default=0),
            observers=observers,
        )
        return Generation(self.engine, self.tokenizer, request)

    def generate_many(self, generations: Iterable[Generation]) -> Generator[Generation]:
        """Decode many together; each comes when it has ended, in any order.

        They are taken from the iterable as the engine has room for them.
        """
        running: dict[str, Generation] = {}

        def requests() -> Iterator[Request]:
            for generation in generations:
                running[generation.request.id] = generation
                yield generation.request

        for step in self.engine.run(requests()):
            generation = running[step.id]
            try:
                generation.feed(step)
            except PromptTooLong as error:
                generation.error = error
            if step.finish:
                generation.end()
                del running[step.id]
                yield generation

    def close(self) -> None:
        self.engine.close()

    def __enter__(self) -> Student:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _common(first: list[int], second: list[int]) -> Iterator[int]:
    for one, other in zip(first, second, strict=False):
        if one != other:
            return
        yield one
