"""Artifacts in buckets: S3 and what speaks like it, Azure Blob Storage, Google Cloud Storage, through obstore."""

from execution_dataflow.stores.objects.artifacts import ObjectArtifacts, open_artifacts

__all__ = ["ObjectArtifacts", "open_artifacts"]
