"""Why a style: annotated videos, movement figures, reasons."""
