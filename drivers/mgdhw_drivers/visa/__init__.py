"""Instruments by VISA: resources that several tasks may share, and chips that speak SCPI."""
