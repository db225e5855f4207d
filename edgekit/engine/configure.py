"""The builder's configuration: memory, precision, DLA, profiles."""

from __future__ import annotations

from typing import Any

from edgekit.bundle.manifest import MANIFEST
from edgekit.engine.job import BuildJob
from edgekit.engine.memory import MemoryLimits
from edgekit.errors import EdgekitError

SHOWN = 8


def configure(trt: Any, builder: Any, network: Any, job: BuildJob, limits: MemoryLimits) -> Any:
    """EdgekitError for an option that this TensorRT does not have."""
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, limits.workspace)
    if hasattr(trt.MemoryPoolType, "TACTIC_DRAM"):  # from 8.6
        config.set_memory_pool_limit(trt.MemoryPoolType.TACTIC_DRAM, limits.tactics)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # so that the inspector names each layer's types
    if job.options.optimization_level is not None:
        if not hasattr(config, "builder_optimization_level"):
            raise EdgekitError(
                f"TensorRT {trt.__version__} has no optimization levels, they came with 8.6",
                where="--optimization-level",
                fix="leave --optimization-level out",
            )
        config.builder_optimization_level = job.options.optimization_level
    _precision(trt, config, job)
    if job.options.dla_core is not None:
        _dla(trt, config, network, job)
    if job.artifact.profile is not None:
        _profile(builder, config, job)
    return config


def _precision(trt: Any, config: Any, job: BuildJob) -> None:
    """Flags for the lanes whose precision is not in the file. TF32 is on by default and is not fp32."""
    if job.artifact.precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)
    if job.artifact.lane == "strong":
        return
    if job.artifact.precision in ("fp16", "int8"):
        config.set_flag(
            trt.BuilderFlag.FP16
        )  # with int8 too, so that layers without an int8 kernel use fp16 and not fp32
    if job.artifact.precision == "int8":
        config.set_flag(trt.BuilderFlag.INT8)


def _dla(trt: Any, config: Any, network: Any, job: BuildJob) -> None:
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = job.options.dla_core
    if job.options.gpu_fallback:
        config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
        return
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    unable = [layer.name for layer in layers if not config.can_run_on_DLA(layer)]
    if unable:
        more = f" and {len(unable) - SHOWN} more" if len(unable) > SHOWN else ""
        raise EdgekitError(
            f"{len(unable)} of {len(layers)} layers cannot run on the DLA: {', '.join(unable[:SHOWN])}{more}",
            where="--dla",
            fix="let them run on the GPU with --gpu-fallback, or see `edgekit lint` for what to change in the student",
        )


def _profile(builder: Any, config: Any, job: BuildJob) -> None:
    profile = builder.create_optimization_profile()
    bounds = job.artifact.profiles()
    for name, shapes in bounds.items():
        profile.set_shape(name, shapes.min, shapes.opt, shapes.max)
    if config.add_optimization_profile(profile) < 0:
        told = ", ".join(f"{each.min} … {each.opt} … {each.max} for '{name}'" for name, each in bounds.items())
        raise EdgekitError(
            f"TensorRT does not take the profile {told}",
            where=f"{MANIFEST}: {job.artifact.file}: profile",
            fix="export the bundle again with a profile whose shapes grow from min to max",
        )
    if job.calibrates:
        # Frames are shown one at a time, whatever batch is usual in the profile.
        shown = builder.create_optimization_profile()
        for name, shapes in bounds.items():
            one = (1, *shapes.opt[1:])
            shown.set_shape(name, one, one, one)
        config.set_calibration_profile(shown)
